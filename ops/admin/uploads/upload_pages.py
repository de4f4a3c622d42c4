"""The page of an upload: its progress, then the difference row by row, and the run that applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ops.admin.lists.large_tables import LargeTableAdmin
from ops.admin.live.run_words import link_run
from ops.admin.starting.confirmation import Proposal, confirmation_view
from ops.admin.uploads.upload_rows import build_rows
from ops.change_sets.preview import list_runs
from ops.exceptions import OpsError
from ops.formatting import format_size, format_time, pluralize
from ops.models import Upload, UploadState
from ops.operations import ApplyChangeSet
from ops.operations.validation import model_label
from ops.runs.creation import RunRequest
from ops.uploads.diff import CHANGED, CONFLICTS, NEW, DiffFilter, DiffPage, DiffReader
from ops.uploads.queue import discard_upload
from ops.uploads.staging import require_upload_permission

_ROWS_PER_PAGE = 50
_MAX_TEXT_LENGTH = 255
_MAX_POSITION = 2**63 - 1
_STATE_WORDS = {
    UploadState.WAITING: "is being read",
    UploadState.STAGED: "read",
    UploadState.REFUSED: "refused",
    UploadState.DISCARDED: "discarded",
}
_KINDS = {"": "All rows", NEW: "New", CHANGED: "Changed", CONFLICTS: "Changed by others since"}


@dataclass(frozen=True)
class UploadLine:
    """An upload in a list of them."""

    url: str
    name: str
    when: str
    said: str


class UploadPagesAdmin(LargeTableAdmin):
    """The pages of the uploads of a model; each is for its maker, and for superusers."""

    def get_urls(self) -> list[URLPattern]:
        return [
            self._build_path("upload/", "upload", self.upload_view),
            self._build_path("upload/<int:number>/", "uploaded", self.uploaded_view),
            self._build_path("upload/<int:number>/live/", "uploaded_live", self.uploaded_live_view),
            self._build_path("upload/<int:number>/apply/", "uploaded_apply", self.uploaded_apply_view),
            self._build_path("upload/<int:number>/discard/", "uploaded_discard", self.uploaded_discard_view),
            *super().get_urls(),
        ]

    def _build_path(self, route: str, page: str, view: Callable[..., HttpResponse]) -> URLPattern:
        name = self.get_url_name(page).removeprefix("admin:")
        pattern: URLPattern = path(route, self.admin_site.admin_view(view), name=name)
        return pattern

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    def uploaded_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show how far the file is read, why it was refused, or what it would create and change."""
        upload = self._get_upload(request, number)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": upload.name,
            **self._get_progress_context(upload),
            "facts": [format_size(upload.bytes), f"by {upload.performed_by}", format_time(upload.created_at)],
            "upload_url": reverse(self.get_url_name("upload")),
            "live_url": self._reverse("uploaded_live", upload),
            "discard_url": self._reverse("uploaded_discard", upload),
        }
        if upload.change_set is not None:
            try:
                context |= self._get_diff_context(request, upload)
            except OpsError as exc:
                context["problem"] = exc.reason
        return TemplateResponse(request, "ops/admin/uploaded.html", context)

    def uploaded_live_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Return the part of the page that is refreshed; once the file is read, lead to the page."""
        upload = self._get_upload(request, number)
        if upload.state != UploadState.WAITING:
            return HttpResponseRedirect(self._reverse("uploaded", upload))
        context = self._get_progress_context(upload)
        if upload.change_set is not None:
            context |= self._get_diff_context(request, upload)
        return TemplateResponse(request, "ops/admin/_uploading.html", context)

    def uploaded_apply_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show the page that confirms the run; for POST, start it."""
        upload = self._get_upload(request, number)
        if upload.state != UploadState.STAGED or upload.change_set is None:
            return HttpResponseRedirect(self._reverse("uploaded", upload))
        url, nouns = self._reverse("uploaded", upload), self.opts.verbose_name_plural
        proposal = Proposal(
            title=f"Apply {upload.name}",
            summary=(
                "Create and change what the page of the upload shows, row by row. A cell that somebody has"
                " changed since then stays as it is. A revert of the run sets the cells back, and deletes the"
                f" {nouns} that the run created and that nobody has changed or used since."
            ),
            scope_description=_count_words(upload, str(self.opts.verbose_name), str(nouns)),
            run_request=RunRequest(
                ApplyChangeSet, request.user.get_username(), {"change_set": upload.change_set.pk}
            ),
            back_url=url,
            links={"The difference, row by row": url},
        )
        return confirmation_view(request, self, proposal)

    def uploaded_discard_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Discard a file that is still being read."""
        upload = self._get_upload(request, number)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if discard_upload(upload):
            messages.success(request, f"{upload.name} was discarded. Nothing was changed.")
            return HttpResponseRedirect(reverse(self.get_url_name("upload")))
        return HttpResponseRedirect(self._reverse("uploaded", upload))

    def describe_uploads(self, uploads: Iterable[Upload]) -> list[UploadLine]:
        nouns = str(self.opts.verbose_name), str(self.opts.verbose_name_plural)
        return [
            UploadLine(
                self._reverse("uploaded", upload),
                upload.name,
                format_time(upload.created_at),
                _count_words(upload, *nouns)
                if upload.state == UploadState.STAGED
                else _STATE_WORDS[UploadState(upload.state)],
            )
            for upload in uploads
        ]

    def _get_upload(self, request: HttpRequest, number: int) -> Upload:
        """Raises PermissionDenied, Http404."""
        require_upload_permission(self.model, request.user)
        found = (
            Upload.objects.filter(pk=number, model=model_label(self.model))
            if number <= _MAX_POSITION
            else None
        )
        upload = found.select_related("change_set").first() if found is not None else None
        if upload is None:
            raise Http404(f"There is no upload {number}")
        if not (request.user.is_superuser or upload.performed_by == request.user.get_username()):
            raise PermissionDenied("This upload is somebody else's.")
        return upload

    def _reverse(self, page: str, upload: Upload) -> str:
        return reverse(self.get_url_name(page), args=[upload.pk])

    def _get_progress_context(self, upload: Upload) -> dict[str, Any]:
        one, many = str(self.opts.verbose_name), str(self.opts.verbose_name_plural)
        return {
            "upload": upload,
            "nouns": many,
            "is_waiting": upload.state == UploadState.WAITING,
            "rows_read": f"{pluralize(upload.rows, 'row')} read" if upload.rows else "Waiting for a worker.",
            "error_lines": upload.error.splitlines(),
            "counts": {
                "new": f"{upload.created:,}",
                "changed": f"{upload.changed:,}",
                "unchanged, not listed": f"{upload.unchanged:,}",
            },
            "is_empty": upload.state == UploadState.STAGED and upload.change_set is None,
            "noun": one,
        }

    def _get_diff_context(self, request: HttpRequest, upload: Upload) -> dict[str, Any]:
        wanted = self._read_filter(request, upload)
        page = DiffReader(upload).page(wanted, _ROWS_PER_PAGE, _read_position(request))
        table = build_rows(request, self, page.rows)
        query = {"kind": wanted.kind, "column": wanted.column, "q": wanted.text}
        given = {name: value for name, value in query.items() if value}
        return {
            "table": table,
            "media": table.media,
            "wanted": wanted,
            "kinds": _KINDS.items(),
            "columns": [
                (column, f"{table.get_label(column)} ({count:,})")
                for column, count in sorted(upload.changed_columns.items())
            ],
            "is_filtered": bool(given),
            "scanned": _describe_scan(page),
            "next_url": f"?{urlencode({**given, 'after': page.next})}" if page.next else "",
            "next_label": "Look on" if _is_partial(page) else "Next page",
            "first_url": f"?{urlencode(given)}" if "after" in request.GET else "",
            "apply_url": self._reverse("uploaded_apply", upload),
            "runs": [link_run(run.pk) for run in list_runs(upload.change_set)] if upload.change_set else [],
        }

    def _read_filter(self, request: HttpRequest, upload: Upload) -> DiffFilter:
        """Read the filter of the address; values that no field of the page gives are left out."""
        kind, column = request.GET.get("kind", ""), request.GET.get("column", "")
        text = request.GET.get("q", "").replace("\0", "").strip()[:_MAX_TEXT_LENGTH]
        return DiffFilter(
            kind if kind in _KINDS else "",
            column if column in upload.changed_columns else "",
            text,
            lambda rows: self.get_search_results(request, rows, text)[0],
        )


def _read_position(request: HttpRequest) -> int:
    after = request.GET.get("after", "")
    return min(int(after), _MAX_POSITION) if after.isascii() and after.isdecimal() and len(after) < 20 else 0


def _describe_scan(page: DiffPage) -> str:
    return f"{pluralize(page.scanned, 'row')} looked at." if _is_partial(page) else ""


def _is_partial(page: DiffPage) -> bool:
    """Whether the page has fewer rows than it could, since it looked at no more."""
    return bool(page.next) and len(page.rows) < _ROWS_PER_PAGE


def _count_words(upload: Upload, one: str, many: str) -> str:
    if upload.change_set_id is None:
        return f"nothing to do: {pluralize(upload.rows, 'row')} as in the catalogue"
    parts = [
        f"{count:,} {word} {one if count == 1 else many}"
        for count, word in ((upload.created, "new"), (upload.changed, "changed"))
        if count
    ]
    return " and ".join(parts)
