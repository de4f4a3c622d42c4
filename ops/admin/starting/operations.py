"""The registered operations as bulk actions of a model's list."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms.widgets import Script
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from ops import permissions
from ops.admin.lists.large_tables import LargeTableAdmin
from ops.admin.lists.selection import Selection
from ops.admin.starting.confirmation import Proposal, confirmation_view
from ops.admin.starting.forms import build_operation_form
from ops.exceptions import InvalidScope
from ops.operations import registry
from ops.operations.base import Operation
from ops.runs.creation import RunRequest


def get_model_operations(model: type[Model]) -> list[type[Operation]]:
    """List the operations that declare this model; not those that determine it later, as the revert does."""
    return [
        operation for operation in registry.list_operations() if getattr(operation, "model", None) is model
    ]


class OperationsAdmin(LargeTableAdmin):
    """A list whose bulk actions are the operations that its user may run.

    Django's "delete selected" is removed: bulk changes are made by operations only.
    """

    class Media:
        js = [Script(f"ops/{name}.js", defer=True) for name in ("confirmation", "in_place", "followed_runs")]

    def get_urls(self) -> list[URLPattern]:
        view, name = (
            self.admin_site.admin_view(self.operate_view),
            self.get_url_name("operate").removeprefix("admin:"),
        )
        return [path("operate/<str:name>/", view, name=name), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        for operation in get_model_operations(self.model):
            if self._may_run(request, operation):
                action = partial(_redirect_to_confirmation, operation=operation)
                actions[operation.name] = (action, operation.name, operation.title())
        return actions

    def operate_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the confirmation page of an operation for the rows that the URL selects."""
        operation = self._get_operation_or_404(name)
        self._require_permission(request, operation)
        selection = Selection.from_url(request)
        back_url = reverse(self.get_url_name("changelist"), query=selection.changelist_query)
        try:
            scope, description = selection.resolve_scope(request, self)
            initial = operation.get_initial_params(selection.read_filters(request, self))
        except InvalidScope as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(back_url)
        proposal = Proposal(
            title=operation.title(),
            summary=operation.summary(),
            scope_description=description,
            run_request=RunRequest(operation, request.user.get_username(), scope=scope),
            back_url=back_url,
            form_factory=partial(build_operation_form, operation, initial),
            query_params=selection.query_params,
        )
        return confirmation_view(request, self, proposal)

    def _get_operation_or_404(self, name: str) -> type[Operation]:
        for operation in get_model_operations(self.model):
            if operation.name == name:
                return operation
        raise Http404

    def _may_run(self, request: HttpRequest, operation: type[Operation]) -> bool:
        return self.has_view_permission(request) and request.user.has_perm(
            permissions.run_permission(operation)
        )

    def _require_permission(self, request: HttpRequest, operation: type[Operation]) -> None:
        if not self._may_run(request, operation):
            raise PermissionDenied


def _redirect_to_confirmation(
    model_admin: OperationsAdmin, request: HttpRequest, queryset: QuerySet[Any], operation: type[Operation]
) -> HttpResponse:
    """Lead from the list to the confirmation page."""
    url = reverse(
        model_admin.get_url_name("operate"),
        args=[operation.name],
        query=Selection.from_changelist(request).query_params,
    )
    return HttpResponseRedirect(url)
