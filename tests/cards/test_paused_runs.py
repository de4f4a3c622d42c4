"""Runs that an older version of this code paused go on under the code of today.

`paused/` holds the rows of databases of twelve cards, as commit 0d048a0 left them after a batch of five. What
a run stores of its declaration (fingerprint, scope, types) must mean the same to whatever code resumes it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from psycopg import sql

from cards.models import Card
from ops.models import AuditLog, Run
from ops.runs import lifecycle
from ops.runs.rebuild import rebuild_operation
from ops.sql.dual_write import dual_writes_off
from tests.ops.running import execute_run

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

FOLDER = Path(__file__).parent / "paused"


def restore(case: str) -> Run:
    """Put the rows of the case into the tables, and return its paused run, which is the newest one."""
    with dual_writes_off(), connection.cursor() as cursor:
        for table, rows in json.loads((FOLDER / f"{case}.json").read_text()).items():
            for row in rows:
                names = sql.SQL(", ").join(map(sql.Identifier, row))
                statement = sql.SQL(
                    "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
                    " SELECT {names} FROM jsonb_populate_record(NULL::{table}, %s::jsonb)"
                ).format(table=sql.Identifier(table), names=names)
                cursor.execute(statement.as_string(), [json.dumps(row)])
            cursor.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({literal}, 'id'), max(id)) FROM {table}")
                .format(literal=sql.Literal(table), table=sql.Identifier(table))
                .as_string()
            )
    return Run.objects.latest("pk")


def rarities() -> list[tuple[Any, Any]]:
    return list(Card.objects.order_by("pk").values_list("rarity", "rarity_v2"))


@pytest.mark.parametrize(
    ("case", "rows"), [("backfill", 12), ("chosen", 9), ("filtered", 12), ("promotion", 12), ("revert", 12)]
)
def test_a_run_paused_by_older_code_resumes_to_its_end(case: str, rows: int) -> None:
    run = restore(case)
    before = AuditLog.objects.filter(run=run).count()
    lifecycle.requeue(run)
    execute_run(run)
    assert (before, AuditLog.objects.filter(run=run).count()) == (5, rows)
    assert run.state in ("succeeded", "verification_failed")
    assert not run.failures.exists()
    changed = [both for both in rarities() if both[1] is not None]
    expected = {"revert": 0, "chosen": 9}.get(case, 12)
    assert len(changed) == expected
    assert all(old == new for old, new in changed)
    if case == "promotion":
        assert set(changed) == {("rare", "rare")}


def test_a_queued_run_of_older_code_is_rebuilt_as_it_was() -> None:
    run = restore("thumbnails")
    assert rebuild_operation(run).name == "render_thumbnails"
