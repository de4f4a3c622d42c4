"""Who may be the second person."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from ops import permissions

_MAX_NAMES = 5
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def format_approvers(model: str, asker: str) -> str:
    """Return the names of some who may approve what the asker wants to do to the model; "" if nobody may."""
    name, users = get_user_model().USERNAME_FIELD, get_user_model().objects
    others = users.exclude(**{name: asker})
    for permission in permissions.approval_permissions(model):
        permitted = users.with_perm(permission, backend=_BACKEND)
        others = others.filter(pk__in=permitted.values("pk"))
    found = list(others.order_by("pk").values_list(name, flat=True)[: _MAX_NAMES + 1])
    return ", ".join(found[:_MAX_NAMES]) + (" and others" if len(found) > _MAX_NAMES else "")
