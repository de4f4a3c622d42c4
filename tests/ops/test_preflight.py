"""`preflight`: each line sees what is there, and what it says to type makes it green again."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from ops.health.limits import HealthLimits
from ops.models import Run
from ops.preflight import backup, health, manual, migrations, objects, server, space
from ops.preflight import runs as lines_of_runs
from ops.preflight.checklist import iter_findings
from ops.preflight.finding import Finding, ManualAnswers, PreflightContext, Severity
from ops.report import preflight as report
from ops.runs import lifecycle
from ops.runs.creation import RunRequest, create_run
from ops.states import State
from ops.stats.relations import fetch_largest_tables
from tests.ops.running import create_things, execute_sql, override_connection, player, wait_until
from tests.trials.operations import Annotate

pytestmark = pytest.mark.django_db(transaction=True)

SAID = ManualAnswers("by mail", timedelta(), "restore_db", "ada")


@pytest.fixture
def backups(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIR = tmp_path
    return tmp_path


@contextmanager
def waiting(app: str, name: str) -> Iterator[PreflightContext]:
    """As if the migration were still to be applied."""
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied(app, name)
    try:
        yield PreflightContext(SAID)
    finally:
        recorder.record_unapplied(app, name)
        recorder.record_applied(app, name)


def do(line: Finding) -> None:
    """Type what the line says, as psql would take it."""
    for typed in line.todo:
        if typed.startswith("psql "):
            execute_sql(shlex.split(typed.partition('", or')[0] + ('"' if '", or' in typed else ""))[3])


def test_on_a_terminal_of_any_width_every_line_is_told_with_its_colour_in_words() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("preflight", "--no-input", "--downtime", "1h 30min", stdout=out)
    assert left.value.code == 1
    text = out.getvalue()
    assert "  RED     rollback plan   Nobody said how to take it back.\n" in text
    assert "> --rollback-plan TEXT|FILE\n" in text
    assert "  YELLOW  team            Nobody said whether the team was notified.\n" in text
    assert "  green   downtime        1 h 30 min\n" in text
    assert re.search(
        r"\n\d+ red, \d+ yellow, \d+ green. Not ready: fix what is red, then run preflight", text
    )
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_as_json_it_is_the_verdict_and_every_line() -> None:
    lines = {
        "drift": Finding(Severity.GREEN, "None."),
        "team": Finding(Severity.YELLOW, "Who?", todo=("--team",)),
    }
    told = json.loads(json.dumps(report.as_json(lines)))
    assert (told["event"], told["verdict"]) == ("preflight", "yellow")
    assert told["lines"][0] == {
        "name": "drift",
        "light": "green",
        "found": "None.",
        "details": [],
        "todo": [],
    }


@pytest.mark.parametrize(
    ("option", "wrong"), [("--downtime", "soon"), ("--downtime", "15 parsecs"), ("--database-free", "much")]
)
def test_an_answer_that_cannot_be_read_is_refused(option: str, wrong: str) -> None:
    with pytest.raises(CommandError, match=f"{wrong!r} is not a "):
        call_command("preflight", option, wrong)


def test_a_rollback_plan_in_a_file_must_have_words(tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("\n")
    asked = PreflightContext(ManualAnswers(rollback_plan=str(plan)))
    assert manual.check_rollback_plan(asked).severity == Severity.RED
    plan.write_text("restore_db")
    assert manual.check_rollback_plan(asked).severity == Severity.GREEN


def test_what_nobody_may_say_no_to_is_red() -> None:
    asked = PreflightContext(ManualAnswers(team_notified="no", monitoring="no", rollback_plan="no"))
    told = [
        manual.check_team_notified(asked),
        manual.check_monitoring(asked),
        manual.check_rollback_plan(asked),
    ]
    assert {line.severity for line in told} == {Severity.RED}


def test_a_migration_to_apply_is_named_and_judged() -> None:
    with waiting("cards", "0002_card_rarity_v2") as asked:
        assert migrations.check_unapplied_migrations(asked).details == ("cards.0002_card_rarity_v2",)
        line = migrations.check_unsafe_migrations(asked)
    assert (line.severity, line.details) == (Severity.GREEN, ())


def test_a_database_ahead_of_the_code_is_red() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("cards", "9999_of_tomorrow")
    try:
        line = migrations.check_unapplied_migrations(PreflightContext(SAID))
    finally:
        recorder.record_unapplied("cards", "9999_of_tomorrow")
    assert (line.severity, line.details) == (Severity.RED, ("cards.9999_of_tomorrow",))


def test_a_run_under_way_is_red_before_a_migration_and_what_the_line_says_pauses_it() -> None:
    create_things(1)
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)
    asked = PreflightContext(SAID)
    assert lines_of_runs.check_active_runs(asked).severity == Severity.YELLOW
    with waiting("cards", "0004_idx_cards_pack_rarity") as before_it:
        line = lines_of_runs.check_active_runs(before_it)
    assert (line.severity, line.todo) == (Severity.RED, (f"manage.py runs pause {run.pk}",))
    call_command(*line.todo[0].split()[1:], stdout=StringIO())
    assert lines_of_runs.check_active_runs(asked).severity == Severity.GREEN


def test_a_backup_counts_when_it_is_verified_fresh_and_still_there(backups: Path) -> None:
    assert backup.check_backup(PreflightContext(SAID)).message == "There is no backup."
    call_command("backup_db", str(backups / "a.dump"), stdout=StringIO())
    assert backup.check_backup(PreflightContext(SAID)).message.endswith(" old, was never verified.")
    call_command("backup_db", str(backups / "b.dump"), "--verify", stdout=StringIO())
    assert backup.check_backup(PreflightContext(SAID)).severity == Severity.GREEN
    (backups / "b.dump").unlink()
    assert "is not where it was" in backup.check_backup(PreflightContext(SAID)).message


def test_a_rehearsal_applies_the_migrations_to_a_copy_and_leaves_the_database_alone(backups: Path) -> None:
    with waiting("sessions", "0001_initial"):
        call_command("backup_db", str(backups / "a.dump"), stdout=StringIO())
        line = backup.check_rehearsal(PreflightContext(SAID, rehearse=True))
        assert line.severity == Severity.RED
        assert line.message.endswith('relation "django_session" already exists')
        execute_sql("DROP TABLE django_session")
        try:
            call_command("backup_db", str(backups / "b.dump"), stdout=StringIO())
            line = backup.check_rehearsal(PreflightContext(SAID, rehearse=True))
            assert execute_sql("SELECT to_regclass('django_session')") == [(None,)]
        finally:
            call_command("migrate", "sessions", verbosity=0)
    assert line.severity == Severity.GREEN
    assert [told.rpartition(" in ")[0] for told in line.details] == [
        "restored b.dump",
        "applied sessions.0001_initial",
        "asked the checks",
    ]
    copies = f"{connection.settings_dict['NAME']}_rehearsal_"
    assert execute_sql("SELECT 1 FROM pg_database WHERE starts_with(datname, %s)", copies) == []


def test_runs_that_ended_badly_are_told_for_a_week() -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)
    lifecycle.end(run, State.FAILED)
    line = lines_of_runs.check_failed_runs(PreflightContext(SAID))
    assert (line.severity, line.todo) == (Severity.YELLOW, (f"manage.py runs show {run.pk}",))
    Run.objects.update(finished_at=timezone.now() - timedelta(days=8))
    assert lines_of_runs.check_failed_runs(PreflightContext(SAID)).severity == Severity.GREEN


def test_rows_that_a_check_would_refuse_are_counted() -> None:
    create_things(3)
    line = lines_of_runs.check_refused_rows(PreflightContext(SAID))
    assert (line.severity, line.details) == (Severity.YELLOW, ("things without a note: 3",))
    execute_sql("UPDATE trials_thing SET note = 'x'")
    assert lines_of_runs.check_refused_rows(PreflightContext(SAID)).severity == Severity.GREEN


def test_an_invalid_index_is_red_until_it_is_dropped_as_the_line_says() -> None:
    create_things(2)
    execute_sql("UPDATE trials_thing SET name = 'same'")
    with pytest.raises(IntegrityError):
        execute_sql('CREATE UNIQUE INDEX CONCURRENTLY "Half made" ON trials_thing (name)')
    line = objects.check_invalid_indexes(PreflightContext(SAID))
    assert (line.severity, line.details) == (Severity.RED, ("Half made on trials_thing",))
    do(line)
    assert objects.check_invalid_indexes(PreflightContext(SAID)).severity == Severity.GREEN


def test_a_constraint_not_validated_is_yellow_until_it_is_validated_as_the_line_says() -> None:
    execute_sql("ALTER TABLE trials_thing ADD CONSTRAINT positive CHECK (score >= 0) NOT VALID")
    try:
        line = objects.check_unvalidated_constraints(PreflightContext(SAID))
        assert (line.severity, line.details) == (Severity.YELLOW, ("positive on trials_thing",))
        do(line)
        assert objects.check_unvalidated_constraints(PreflightContext(SAID)).severity == Severity.GREEN
    finally:
        execute_sql("ALTER TABLE trials_thing DROP CONSTRAINT positive")


def test_objects_are_found_in_whichever_schema_the_tables_stand() -> None:
    execute_sql("""CREATE SCHEMA "It's {} game"; CREATE TABLE "It's {} game"."t {}" (name text)""")
    mine = connection.settings_dict["OPTIONS"]
    path = {"options": r"""-c search_path=public,"It's\ {}\ game\""""}
    try:
        with override_connection(OPTIONS=mine | path):
            execute_sql("""INSERT INTO "t {}" VALUES ('same'), ('same')""")
            execute_sql("""ALTER TABLE "t {}" ADD CONSTRAINT "No '" CHECK (name <> '') NOT VALID""")
            with pytest.raises(IntegrityError):
                execute_sql("""CREATE UNIQUE INDEX CONCURRENTLY "Half '" ON "t {}" (name)""")
            for check in (objects.check_invalid_indexes, objects.check_unvalidated_constraints):
                line = check(PreflightContext(SAID))
                assert line.details[0].endswith(""" on "t {}\"""")
                do(line)
                assert check(PreflightContext(SAID)).severity == Severity.GREEN
            assert "t {}" in {table.name for table in fetch_largest_tables(100)}
    finally:
        execute_sql("""DROP SCHEMA "It's {} game" CASCADE""")


def test_a_long_transaction_is_told_and_ended_as_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with suppress(psycopg.OperationalError), player() as other:
        other.execute("SELECT 'a long report'")
        pid = other.info.backend_pid
        assert server.check_long_transactions(PreflightContext(SAID)).severity == Severity.GREEN
        monkeypatch.setattr(server, "_LONG_TRANSACTION", timedelta())
        line = server.check_long_transactions(PreflightContext(SAID))
        assert line.severity == Severity.YELLOW
        assert any(f"process {pid} " in told and "a long report" in told for told in line.details)
        do(line)
        wait_until(lambda: not execute_sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid))


def test_a_prepared_transaction_is_red_until_it_is_rolled_back_as_the_line_says() -> None:
    if execute_sql("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("this server has max_prepared_transactions = 0")
    with player() as other:
        other.execute("INSERT INTO trials_owner (name) VALUES ('x')")
        other.execute("PREPARE TRANSACTION 'left over'")
    line = server.check_prepared_transactions(PreflightContext(SAID))
    assert line.severity == Severity.RED
    do(line)
    assert server.check_prepared_transactions(PreflightContext(SAID)).severity == Severity.GREEN


def test_a_slot_that_nobody_reads_is_yellow() -> None:
    execute_sql("SELECT pg_create_physical_replication_slot('gone', true)")
    line = server.check_replication(PreflightContext(SAID))
    execute_sql("SELECT pg_drop_replication_slot('gone')")
    assert line.severity == Severity.YELLOW
    assert line.details[0].startswith("slot gone: nobody reads it, keeps ")


def test_what_would_hold_a_run_is_yellow_until_it_has_passed(settings: Any) -> None:
    settings.OPS_HEALTH = HealthLimits(player_probe="SELECT pg_sleep(0.002)", player_latency_ms=1)
    line = health.check_health(PreflightContext(SAID))
    assert (line.severity, line.message) == (Severity.YELLOW, "A run would be held.")
    assert line.details[0].startswith("player_latency: players wait ")
    settings.OPS_HEALTH = HealthLimits()
    assert health.check_health(PreflightContext(SAID)).severity == Severity.GREEN


def test_the_free_space_that_somebody_told_is_held_against_the_largest_table() -> None:
    def severity(free: int) -> Severity:
        return space.check_database_disk(PreflightContext(ManualAnswers(database_free=free))).severity

    assert [severity(2**40), severity(2**20)] == [Severity.GREEN, Severity.RED]


def test_the_disk_that_is_looked_at_for_exports_is_that_of_the_workers(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUP_DIR, settings.EXPORT_ROOT = Path("/backups"), Path("/exports")
    monkeypatch.setattr(space, "_free_bytes", {Path("/backups"): 2**50, Path("/exports"): 1}.__getitem__)
    assert space.check_local_disk(PreflightContext(SAID)).severity == Severity.RED


def test_a_line_that_our_role_may_not_see_is_yellow_and_the_others_are_told() -> None:
    execute_sql("CREATE ROLE nobody_much LOGIN PASSWORD 'x'; GRANT SELECT ON ops_run TO nobody_much")
    try:
        with override_connection(USER="nobody_much", PASSWORD="x"):
            told = dict(iter_findings(PreflightContext(SAID)))
    finally:
        execute_sql("DROP OWNED BY nobody_much; DROP ROLE nobody_much")
    assert told["migrations"].severity == Severity.YELLOW
    assert "permission denied" in told["migrations"].found
    assert {told["indexes"].severity, told["rollback plan"].severity} == {Severity.GREEN}


def test_without_the_database_there_is_no_checklist() -> None:
    with override_connection(PORT=1), pytest.raises(OperationalError):
        call_command("preflight", "--no-input", stdout=StringIO())


def test_a_long_command_is_never_broken_and_a_long_finding_is() -> None:
    line = Finding(Severity.RED, "word " * 40, todo=("x" * 120,))
    lines = report.as_lines("name", line)
    assert lines[-1].endswith("> " + "x" * 120)
    assert max(map(len, lines[:-1])) <= 100
