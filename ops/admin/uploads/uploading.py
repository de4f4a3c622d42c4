"""The page on which a person uploads a file of rows of a model."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from ops.admin.uploads.upload_pages import UploadPagesAdmin
from ops.exceptions import OpsError
from ops.formatting import format_size
from ops.models import Upload
from ops.operations.validation import model_label
from ops.uploads.queue import request_upload
from ops.uploads.staging import may_upload, require_upload_permission

_FILE_FIELD = "file"
# What a form has beside its file.
_FORM_BYTES = 1_000_000
_SHOWN_UPLOADS = 10


class UploadableAdmin(UploadPagesAdmin):
    """A list whose rows can be added and changed by a file."""

    # The suffixes that a file may have.
    upload_suffixes = ""
    upload_help = ""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        if may_upload(self.model, request.user):
            found.upload_url = reverse(self.get_url_name("upload"))
        return found

    # So that the size is looked at before the file is read, which CSRF protection does.
    @method_decorator(csrf_exempt)
    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form; for POST, keep the file and stage it."""
        require_upload_permission(self.model, request.user)
        limit = _SizeLimit(request)
        request.upload_handlers.insert(0, limit)
        protected: Any = csrf_protect(lambda request: self._upload(request, limit))
        return protected(request)  # type: ignore[no-any-return]

    def _upload(self, request: HttpRequest, limit: _SizeLimit) -> HttpResponse:
        if request.method != "POST":
            return self._show_form(request)
        file = request.FILES.get(_FILE_FIELD)
        if limit.is_exceeded:
            size = _format_limit()
            problem = f"The file is larger than {size}. Nothing was uploaded. Split it, and upload the parts."
            return self._show_form(request, problem, 413)
        if file is None or not file.name:
            return self._show_form(request, "Choose a file first.", 422)
        try:
            upload = request_upload(
                self.model, file.name, file.size or 0, file.chunks(), request.user.get_username()
            )
        except OpsError as exc:
            return self._show_form(request, exc.reason, 503)
        return HttpResponseRedirect(reverse(self.get_url_name("uploaded"), args=[upload.pk]))

    def _show_form(self, request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
        own = Upload.objects.filter(model=model_label(self.model), performed_by=request.user.get_username())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Upload {self.opts.verbose_name_plural}",
            "problem": problem,
            "suffixes": self.upload_suffixes,
            "help": self.upload_help,
            "max_bytes": settings.UPLOAD_MAX_BYTES,
            "max_size": _format_limit(),
            "uploads": self.describe_uploads(own.order_by("-pk")[:_SHOWN_UPLOADS]),
            "back_url": reverse(self.get_url_name("changelist")),
        }
        return TemplateResponse(request, "ops/admin/upload.html", context, status=status)


def _format_limit() -> str:
    return format_size(settings.UPLOAD_MAX_BYTES).replace(".0 ", " ")


class _SizeLimit(FileUploadHandler):
    """Reads and drops a file that is too large, so that a browser gets the page that says so."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.is_exceeded = False

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,  # noqa: N803
        content_length: int,
        boundary: Any,
        encoding: Any = None,
    ) -> None:
        self.is_exceeded = content_length > settings.UPLOAD_MAX_BYTES + _FORM_BYTES

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.is_exceeded:
            raise StopUpload(connection_reset=False)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
