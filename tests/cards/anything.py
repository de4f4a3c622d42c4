"""Helpers of the tests with random input: empty and read the tables, and run a command."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError
from django.db import connection

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import run

TABLES = (AuditLog, Asset, Card, PresentationRule)


def empty() -> None:
    """Empty the tables, as a replica, so that the triggers of the audit log do not fire."""
    with connection.cursor() as cursor:
        tables = "; ".join(f'DELETE FROM "{model._meta.db_table}"' for model in TABLES)
        cursor.execute(f"SET session_replication_role = replica; {tables}; RESET session_replication_role")


def contents() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in TABLES]


def outcome(*args: object) -> tuple[int, str]:
    """Return the exit status and the output; any exception but a refusal fails the test."""
    try:
        return 0, run(*map(str, args))
    except CommandError as exc:
        return exc.returncode, str(exc)
