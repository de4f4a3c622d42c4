"""The groups that a new site has: who may view, edit, operate or approve."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

_CATALOGUE = Q(content_type__app_label="cards")
_VIEWS = Q(codename__startswith="view_")
_VIEWERS = (_CATALOGUE & _VIEWS) | Q(codename__in=["view_run", "view_auditlog"])
_RUN_PERMISSIONS = Q(content_type__app_label="ops", content_type__model="run")
_OPERATIONS_AND_CONTROLS = _RUN_PERMISSIONS & ~Q(
    codename__in=["add_run", "change_run", "delete_run", "approve_run"]
)
# What the dashboard shows of the server.
_SERVER_STATE = Q(codename__in=["view_backup", "view_columnchangeevent"])
# The permissions of each group. A user of several groups has those of all of them.
GROUPS: Mapping[str, Q] = {
    "viewers": _VIEWERS,
    "editors": _VIEWERS | _CATALOGUE | Q(codename="share_view"),
    "operators": _VIEWERS | _OPERATIONS_AND_CONTROLS | _SERVER_STATE,
    "approvers": _VIEWERS | (_RUN_PERMISSIONS & Q(codename="approve_run")),
}


def create_groups(using: str) -> None:
    """Create the groups that do not exist yet, with the permissions that exist now.

    An existing group of the same name stays as it is, since it may be the administrator's own.
    """
    for name, permissions in GROUPS.items():
        group, is_new = Group.objects.using(using).get_or_create(name=name)
        if is_new:
            group.permissions.set(Permission.objects.using(using).filter(permissions))
