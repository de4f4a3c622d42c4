"""What is read in the admin, never edited."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ops.admin.bounded import BoundedAdmin


class ReadOnlyAdmin(BoundedAdmin):
    """What happened is not for the admin to change."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
