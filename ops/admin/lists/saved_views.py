"""Views of a list that are kept under a name: one's own, and those that are shared with everybody."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
)
from django.urls import URLPattern, path, reverse

from ops.admin.lists.list_layout import VIEW_PARAM
from ops.admin.values.audited_objects import DELETE_ACTION
from ops.admin.values.key_validation import KeyValidatingAdmin
from ops.models import SavedView
from ops.models.saved_view import MAX_QUERY_LENGTH
from ops.permissions import SHARE_VIEW
from ops.sql.recorded import audit_changes

# Of one person and one list. So many of others are shown, too.
MAX_VIEWS = 30


class SavedViewForm(forms.ModelForm):  # type: ignore[type-arg]
    """The name of a view and whether it is shared, which only some may decide."""

    class Meta:
        model = SavedView
        fields = ["name", "is_shared"]

    def __init__(self, data: Any, view: SavedView, may_share: bool) -> None:
        super().__init__(data, instance=view)
        if not may_share:
            del self.fields["is_shared"]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        view = self.instance
        others = SavedView.objects.filter(model=view.model, owner=view.owner).exclude(pk=view.pk)
        if others.filter(name=name).exists():
            raise forms.ValidationError(f"There is already a view called “{name}”. Choose another name.")
        if view.pk is None and others.count() >= MAX_VIEWS:
            raise forms.ValidationError(f"You have {MAX_VIEWS} views of this list. Delete one first.")
        return name


@dataclass(frozen=True)
class ViewTab:
    """A view as a tab above its list."""

    view: SavedView
    url: str
    is_current: bool
    is_changed: bool
    may_edit: bool


class SavedViewsAdmin(KeyValidatingAdmin):
    """An admin whose list has views."""

    has_views = True

    def get_url_name(self, view: str) -> str:
        """Return the URL name of one of this model's views: ``admin:cards_card_operate``."""
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def get_urls(self) -> list[URLPattern]:
        if not self.has_views:
            return list(super().get_urls())
        routes: list[tuple[str, Callable[..., HttpResponse], str]] = [
            ("views/", self.save_view, "saveview"),
            ("views/<int:number>/change/", self.change_view_of_list, "changeview"),
            ("views/<int:number>/delete/", self.delete_view_of_list, "deleteview"),
        ]
        return [
            *(
                path(
                    route,
                    self.admin_site.admin_view(view),
                    name=self.get_url_name(name).removeprefix("admin:"),
                )
                for route, view, name in routes
            ),
            *super().get_urls(),
        ]

    def save_view(self, request: HttpRequest) -> HttpResponse:
        """Keep the list of the posted query under the posted name."""
        self._require_view_permission(request)
        user: Any = request.user
        view = SavedView(model=self.opts.label_lower, owner=user)
        return self._save(request, view, "admin_add")

    def change_view_of_list(self, request: HttpRequest, number: int) -> HttpResponse:
        """Rename the view, share it or not, and give it the posted query."""
        return self._save(request, self._get_editable_or_404(request, number), "admin_change")

    @transaction.atomic
    def delete_view_of_list(self, request: HttpRequest, number: int) -> HttpResponse:
        view = self._get_editable_or_404(request, number)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with audit_changes(view, DELETE_ACTION, request.user.get_username()):
            view.delete()
        messages.success(request, f"The view “{view.name}” was deleted.")
        return HttpResponseRedirect(self._build_list_url(view.query))

    def _save(self, request: HttpRequest, view: SavedView, action: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        query = self._clean_query(request, request.POST.get("query", view.query))
        form = SavedViewForm(request.POST, view, request.user.has_perm(SHARE_VIEW))
        if not form.is_valid():
            problems = " ".join(str(error) for errors in form.errors.values() for error in errors)
            messages.error(request, f"The view was not saved. {problems}")
            return HttpResponseRedirect(self._build_list_url(query, view.pk))
        view.query = query
        with transaction.atomic(), audit_changes(view, action, request.user.get_username()):
            view.save()
        messages.success(request, f"The view “{view.name}” was saved.")
        return HttpResponseRedirect(self._build_list_url(view.query, view.pk))

    def _clean_query(self, request: HttpRequest, query: str) -> str:
        """Return what of the query is kept. Raises BadRequest if the list does not accept it."""
        list_request: Any = copy.copy(request)
        list_request.GET = QueryDict(query.removeprefix("?"), mutable=True)
        list_request.GET.pop(PAGE_VAR, None)
        try:
            cleaned: str = self.get_changelist_instance(list_request).layout.view_query
        except IncorrectLookupParameters as exc:
            raise BadRequest("the list has no such filter") from exc
        if len(cleaned) > MAX_QUERY_LENGTH:
            raise BadRequest("the address of the list is too long to be kept")
        return cleaned

    def _build_list_url(self, query: str, number: int | None = None) -> str:
        params = QueryDict(query, mutable=True)
        if number is not None:
            params[VIEW_PARAM] = str(number)
        return reverse(self.get_url_name("changelist"), query=params)

    def _get_editable_or_404(self, request: HttpRequest, number: int) -> SavedView:
        self._require_view_permission(request)
        view = SavedView.objects.filter(model=self.opts.label_lower, pk=number).first()
        if view is None:
            raise Http404(f"There is no view {number} of this list")
        if not may_edit(request, view):
            raise PermissionDenied
        return view

    def _require_view_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def list_tabs(self, request: HttpRequest, changelist: Any) -> list[ViewTab]:
        """List the person's views and the shared ones, except those with a filter that the person has not."""
        is_visible = Q(owner=request.user.pk) | Q(is_shared=True)
        views = SavedView.objects.filter(is_visible, model=self.opts.label_lower).order_by(
            "is_shared", "name"
        )
        accepted, query = changelist.accepted_parameters, changelist.layout.view_query
        current = request.GET.get(VIEW_PARAM, "")
        return [
            ViewTab(
                view,
                f"?{view.query}{'&' if view.query else ''}{VIEW_PARAM}={view.pk}",
                str(view.pk) == current,
                view.query != query,
                may_edit(request, view),
            )
            for view in views[: 2 * MAX_VIEWS]
            if QueryDict(view.query).keys() <= accepted
        ]


def may_edit(request: HttpRequest, view: SavedView) -> bool:
    """Whether the person may rename, change and delete the view."""
    return bool(view.owner_id == request.user.pk or request.user.is_superuser)
