"""`preflight` compares max_wal_size with the WAL that a run would write between two checkpoints."""

import shlex

import pytest

from ops.preflight import wal
from ops.preflight.finding import PreflightContext, Severity
from tests.ops.running import create_things, execute_sql, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_too_little_room_is_yellow_until_its_command_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    create_things(100)
    execute_sql("ANALYZE trials_thing")
    assert wal.check_wal_room(PreflightContext()).severity == Severity.GREEN
    # The 100 rows then count as a million and a half.
    monkeypatch.setattr(wal, "_WAL_BYTES_PER_ROW", 2**24)
    finding = wal.check_wal_room(PreflightContext())
    assert finding.severity == Severity.YELLOW
    assert finding.message.endswith(f"; max_wal_size is {execute_sql('SHOW max_wal_size')[0][0]}.")
    try:
        for statement in shlex.split(finding.todo[0])[3::2]:
            execute_sql(statement)
        wait_until(lambda: wal.check_wal_room(PreflightContext()).severity == Severity.GREEN)
    finally:
        execute_sql("ALTER SYSTEM RESET max_wal_size")
        execute_sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize(("need", "gigabytes"), [(1, 1), (2**30, 1), (2**30 + 1, 2), (3_400_000_000, 4)])
def test_the_suggested_max_wal_size_is_the_next_power_of_two(need: int, gigabytes: int) -> None:
    assert wal.round_up_to_gigabytes(need) == gigabytes
