"""`preflight` sees that a run would write more WAL than there is room for between two checkpoints."""

import shlex

import pytest

from ops.preflight import wal
from ops.preflight.finding import PreflightContext, Severity
from tests.ops.running import create_things, execute_sql, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_too_little_room_is_yellow_until_it_is_made_as_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    create_things(100)
    execute_sql("ANALYZE trials_thing")
    assert wal.check_wal_room(PreflightContext()).severity == Severity.GREEN
    monkeypatch.setattr(
        wal, "_WAL_BYTES_PER_ROW", 2**24
    )  # of 100 rows that are as many as a million and a half
    line = wal.check_wal_room(PreflightContext())
    assert (
        line.severity,
        line.message.endswith(f"; max_wal_size is {execute_sql('SHOW max_wal_size')[0][0]}."),
    ) == (
        Severity.YELLOW,
        True,
    )
    try:
        for typed in shlex.split(line.todo[0])[3::2]:
            execute_sql(typed)
        wait_until(lambda: wal.check_wal_room(PreflightContext()).severity == Severity.GREEN)
    finally:
        execute_sql("ALTER SYSTEM RESET max_wal_size")
        execute_sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize(("need", "asked"), [(1, 1), (2**30, 1), (2**30 + 1, 2), (3_400_000_000, 4)])
def test_the_room_that_is_asked_for_is_the_next_power_of_two(need: int, asked: int) -> None:
    assert wal.round_up_to_gigabytes(need) == asked
