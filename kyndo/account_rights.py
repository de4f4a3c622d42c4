"""What somebody who is no superuser may do to accounts: nothing beyond the permissions of their own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet


def get_permissions(account: User | Group) -> QuerySet[Permission]:
    """Return the permissions of a user or a group, also of an inactive user, which Django gives none."""
    if isinstance(account, Group):
        return Permission.objects.filter(group=account)
    if account.is_superuser:
        return Permission.objects.all()
    # By a subquery, since joins of both relations would repeat the rows.
    held = Permission.objects.filter(Q(user=account) | Q(group__user=account))
    return Permission.objects.filter(pk__in=held.values("pk"))


def may_manage(actor: Any, account: User | Group) -> bool:
    """Whether the actor may change or delete the account: it has no permission that the actor lacks."""
    if actor.is_superuser:
        return True
    if isinstance(account, User) and account.is_superuser:
        return False
    return not get_permissions(account).exclude(pk__in=get_permissions(actor).values("pk")).exists()


def get_grantable_groups(actor: Any) -> QuerySet[Group]:
    """Return the groups whose permissions the actor has."""
    beyond = Permission.objects.exclude(pk__in=get_permissions(actor).values("pk"))
    return Group.objects.exclude(permissions__in=beyond)
