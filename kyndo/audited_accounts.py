"""Audit rows of changes of users and groups: of their columns, and of what they are related to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from ops.models import AuditLog
from ops.sql.recorded import audit_changes

_HIDDEN_COLUMNS = ("password",)
_Related = Callable[[Any], QuerySet[Any]]
_RELATIONS: Mapping[type[Model], Mapping[str, _Related]] = {
    User: {
        "groups": lambda key: Group.objects.filter(user=key),
        "user_permissions": lambda key: Permission.objects.filter(user=key).select_related("content_type"),
    },
    Group: {
        "permissions": lambda key: Permission.objects.filter(group=key).select_related("content_type"),
        "users": lambda key: User.objects.filter(groups=key),
    },
}


class AuditedAccountAdmin(ModelAdmin):  # type: ignore[misc]
    """Writes the audit rows of each change in its transaction; of a password, only that it changed."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with audit_account(obj, _get_action(change), request):
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with audit_relations(form.instance, _get_action(change), request):
            super().save_related(request, form, formsets, change)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._delete_audited(request, [obj])

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete_audited(request, list(queryset))

    def _delete_audited(self, request: HttpRequest, rows: Iterable[Any]) -> None:
        for row in rows:
            with ExitStack() as stack:
                stack.enter_context(audit_relations(row, "admin_delete", request))
                stack.enter_context(audit_account(row, "admin_delete", request))
                row.delete()


def audit_account(row: Model, action: str, request: HttpRequest) -> Any:
    """Audit how the block changes the row's columns."""
    return audit_changes(row, action, request.user.get_username(), _HIDDEN_COLUMNS)


@contextmanager
def audit_relations(row: Model, action: str, request: HttpRequest) -> Iterator[None]:
    """Audit how the block changes the row's groups, permissions or users. Needs a transaction."""
    key = row.pk
    old = _read_relations(row, key)
    yield
    new = _read_relations(row, key)
    if changed := [name for name in old if old[name] != new[name]]:
        AuditLog.objects.create(
            action=action,
            object_type=row._meta.label_lower,
            object_id=str(key),
            performed_by=request.user.get_username(),
            changes={name: {"old": old[name], "new": new[name]} for name in changed},
        )


def _read_relations(row: Model, key: Any) -> dict[str, list[str]]:
    return {
        name: sorted(map(_get_name, get_related(key))) for name, get_related in _RELATIONS[type(row)].items()
    }


def _get_name(row: Any) -> str:
    if isinstance(row, Permission):
        return f"{row.content_type.app_label}.{row.codename}"
    return str(row)


def _get_action(change: bool) -> str:
    return "admin_change" if change else "admin_add"
