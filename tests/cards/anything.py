"""What the tests of any input share: the tables emptied and read, a command's end whatever it is."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError
from django.db import connection

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.cards.conftest import run

TABLES = (AuditLog, Asset, Card, PresentationRule)


def empty() -> None:
    """As a replica, for which no trigger protects the audit log."""
    with connection.cursor() as cursor:
        tables = "; ".join(f'DELETE FROM "{model._meta.db_table}"' for model in TABLES)
        cursor.execute(f"SET session_replication_role = replica; {tables}; RESET session_replication_role")


def contents() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in TABLES]


def outcome(*words: object) -> tuple[int, str]:
    """The status and what was said; anything but a refusal in words is an error of the test."""
    try:
        return 0, run(*map(str, words))
    except CommandError as exc:
        return exc.returncode, str(exc)
