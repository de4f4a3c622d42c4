"""What a page says before a run is started that needs a second person: why, and who that may be."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest

from ops import permissions
from ops.admin.starting.forms import build_comment_form, get_comment
from ops.models import Origin
from ops.operations.base import Operation
from ops.operations.scope import Scope
from ops.operations.validation import model_label
from ops.report.approval import explain_need
from ops.runs.approval_policy import find_need

_MAX_NAMES = 5
_COMMENT_LABEL = "What for? The second person reads it."
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def get_need_context(
    request: HttpRequest,
    operation: type[Operation],
    scope: Scope,
    model: type[Model],
    rows: int,
    form_id: str,
) -> dict[str, Any]:
    """Return what ``_need.html`` says of a run of so many rows; {} if it would need nobody.

    The comment belongs to the page's form of this id.
    """
    username, meta = request.user.get_username(), model._meta
    need = find_need(operation, scope, Origin.ADMIN, username, rows)
    if need is None:
        return {}
    return {
        "need": explain_need(need, str(meta.verbose_name), str(meta.verbose_name_plural)),
        "approvers": format_approvers(model_label(model), username),
        "comment_form": build_comment_form(_COMMENT_LABEL, get_comment(request), form_id),
    }


def format_approvers(model: str, asker: str) -> str:
    """Return the names of some who may approve what the asker wants to do to the model; "" if nobody may."""
    name, users = get_user_model().USERNAME_FIELD, get_user_model().objects
    others = users.exclude(**{name: asker})
    for permission in permissions.approval_permissions(model):
        permitted = users.with_perm(permission, backend=_BACKEND)
        others = others.filter(pk__in=permitted.values("pk"))
    found = list(others.order_by("pk").values_list(name, flat=True)[: _MAX_NAMES + 1])
    return ", ".join(found[:_MAX_NAMES]) + (" and others" if len(found) > _MAX_NAMES else "")
