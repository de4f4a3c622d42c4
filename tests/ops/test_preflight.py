"""`preflight`: each check finds the problem, and the command that it suggests makes it green."""

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
from ops.models import Backup, Run
from ops.preflight import backup, health, manual, migrations, objects, server, space
from ops.preflight import runs as run_checks
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

ANSWERS = ManualAnswers("by mail", timedelta(), "restore_db", "ada")


@pytest.fixture
def backups(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIR = tmp_path
    return tmp_path


@contextmanager
def unapplied(app: str, name: str) -> Iterator[PreflightContext]:
    """Let the migration look unapplied."""
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied(app, name)
    try:
        yield PreflightContext(ANSWERS)
    finally:
        recorder.record_unapplied(app, name)
        recorder.record_applied(app, name)


def type_suggestion(finding: Finding) -> None:
    """Execute the SQL of the finding's psql command."""
    for command in finding.todo:
        if command.startswith("psql "):
            execute_sql(shlex.split(command.partition('", or')[0] + ('"' if '", or' in command else ""))[3])


def test_every_finding_is_written_with_its_colour_as_a_word() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as exited:
        call_command("preflight", "--no-input", "--downtime", "1h 30min", stdout=out)
    assert exited.value.code == 1
    text = out.getvalue()
    assert "  RED     rollback plan   No rollback plan is given.\n" in text
    assert "> --rollback-plan TEXT|FILE\n" in text
    assert "  YELLOW  team            The notification of the team is not confirmed.\n" in text
    assert "  green   downtime        1 h 30 min\n" in text
    assert re.search(
        r"\n\d+ red, \d+ yellow, \d+ green. Not ready: fix what is red, then run preflight", text
    )
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_json_has_the_verdict_and_every_finding() -> None:
    findings = {
        "drift": Finding(Severity.GREEN, "None."),
        "team": Finding(Severity.YELLOW, "Who?", todo=("--team",)),
    }
    document = json.loads(json.dumps(report.as_json(findings)))
    assert (document["event"], document["verdict"]) == ("preflight", "yellow")
    assert document["lines"][0] == {
        "name": "drift",
        "light": "green",
        "found": "None.",
        "details": [],
        "todo": [],
    }


@pytest.mark.parametrize(
    ("option", "wrong"), [("--downtime", "soon"), ("--downtime", "15 parsecs"), ("--database-free", "much")]
)
def test_an_invalid_answer_is_refused(option: str, wrong: str) -> None:
    with pytest.raises(CommandError, match=f"{wrong!r} is not a "):
        call_command("preflight", option, wrong)


def test_a_file_with_the_rollback_plan_must_not_be_empty(tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("\n")
    context = PreflightContext(ManualAnswers(rollback_plan=str(plan)))
    assert manual.check_rollback_plan(context).severity == Severity.RED
    plan.write_text("restore_db")
    assert manual.check_rollback_plan(context).severity == Severity.GREEN


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("", "The rollback plan is empty."),
        (" ", "The rollback plan is empty."),
        ("no", "There is no rollback plan."),
        ("y", '"yes" is not a rollback plan.'),
        ("yes", '"yes" is not a rollback plan.'),
    ],
)
def test_an_answer_without_a_rollback_plan_is_red(answer: str, message: str) -> None:
    answers = ManualAnswers(rollback_plan=manual.parse_answer(answer))
    finding = manual.check_rollback_plan(PreflightContext(answers))
    assert (finding.severity, finding.message) == (Severity.RED, message)
    assert finding.todo == ("--rollback-plan TEXT|FILE",)


def test_an_empty_answer_confirms_nothing() -> None:
    context = PreflightContext(ManualAnswers(team_notified="", monitoring=""))
    findings = [manual.check_team_notified(context), manual.check_monitoring(context)]
    assert {finding.severity for finding in findings} == {Severity.YELLOW}


def test_no_as_an_answer_is_red() -> None:
    context = PreflightContext(ManualAnswers(team_notified="no", monitoring="no", rollback_plan="no"))
    findings = [
        manual.check_team_notified(context),
        manual.check_monitoring(context),
        manual.check_rollback_plan(context),
    ]
    assert {finding.severity for finding in findings} == {Severity.RED}


def test_an_unapplied_migration_is_named_and_linted() -> None:
    with unapplied("cards", "0002_card_rarity_v2") as context:
        assert migrations.check_unapplied_migrations(context).details == ("cards.0002_card_rarity_v2",)
        finding = migrations.check_unsafe_migrations(context)
    assert (finding.severity, finding.details) == (Severity.GREEN, ())


def test_a_database_ahead_of_the_code_is_red() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("cards", "9999_of_tomorrow")
    try:
        finding = migrations.check_unapplied_migrations(PreflightContext(ANSWERS))
    finally:
        recorder.record_unapplied("cards", "9999_of_tomorrow")
    assert (finding.severity, finding.details) == (Severity.RED, ("cards.9999_of_tomorrow",))


def test_an_active_run_is_red_before_a_migration_until_it_is_paused() -> None:
    create_things(1)
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)
    context = PreflightContext(ANSWERS)
    assert run_checks.check_active_runs(context).severity == Severity.YELLOW
    with unapplied("cards", "0004_idx_cards_pack_rarity") as before_migration:
        finding = run_checks.check_active_runs(before_migration)
    assert (finding.severity, finding.todo) == (Severity.RED, (f"manage.py runs pause {run.pk}",))
    call_command(*finding.todo[0].split()[1:], stdout=StringIO())
    assert run_checks.check_active_runs(context).severity == Severity.GREEN


def test_a_backup_is_green_if_it_is_verified_and_still_there(backups: Path) -> None:
    assert backup.check_backup(PreflightContext(ANSWERS)).message == "There is no backup."
    call_command("backup_db", str(backups / "a.dump"), stdout=StringIO())
    assert backup.check_backup(PreflightContext(ANSWERS)).message.endswith(" old, was never verified.")
    call_command("backup_db", str(backups / "b.dump"), "--verify", stdout=StringIO())
    assert backup.check_backup(PreflightContext(ANSWERS)).severity == Severity.GREEN
    call_command("backup_db", str(backups / "c.dump"), stdout=StringIO())
    finding = backup.check_backup(PreflightContext(ANSWERS))
    assert (finding.severity, finding.message[:6]) == (Severity.RED, "c.dump")
    assert finding.details[0].startswith("The newest verified backup: b.dump, ")
    (backups / "c.dump").unlink()
    (backups / "c.dump.json").unlink()
    Backup.objects.filter(path__endswith="c.dump").delete()
    (backups / "b.dump").unlink()
    assert "was moved or deleted" in backup.check_backup(PreflightContext(ANSWERS)).message


def test_a_rehearsal_migrates_a_copy_and_leaves_the_database_alone(backups: Path) -> None:
    with unapplied("sessions", "0001_initial"):
        call_command("backup_db", str(backups / "a.dump"), stdout=StringIO())
        finding = backup.check_rehearsal(PreflightContext(ANSWERS, rehearse=True))
        assert finding.severity == Severity.RED
        assert finding.message.endswith('relation "django_session" already exists')
        execute_sql("DROP TABLE django_session")
        try:
            call_command("backup_db", str(backups / "b.dump"), stdout=StringIO())
            finding = backup.check_rehearsal(PreflightContext(ANSWERS, rehearse=True))
            assert execute_sql("SELECT to_regclass('django_session')") == [(None,)]
        finally:
            call_command("migrate", "sessions", verbosity=0)
    assert finding.severity == Severity.GREEN
    assert [lap.rpartition(" in ")[0] for lap in finding.details] == [
        "restored b.dump",
        "applied sessions.0001_initial",
        "ran the checks",
    ]
    copies = f"{connection.settings_dict['NAME']}_rehearsal_"
    assert execute_sql("SELECT 1 FROM pg_database WHERE starts_with(datname, %s)", copies) == []


def test_failed_runs_are_reported_for_a_week() -> None:
    run = create_run(RunRequest(Annotate, "ada"))
    lifecycle.start(run)
    lifecycle.end(run, State.FAILED)
    finding = run_checks.check_failed_runs(PreflightContext(ANSWERS))
    assert finding.message == "1 run failed in the last week."
    assert (finding.severity, finding.todo) == (Severity.YELLOW, (f"manage.py runs show {run.pk}",))
    Run.objects.update(finished_at=timezone.now() - timedelta(days=8))
    finding = run_checks.check_failed_runs(PreflightContext(ANSWERS))
    assert (finding.severity, finding.message) == (Severity.GREEN, "No run failed in the last week.")


def test_rows_that_violate_a_check_are_counted() -> None:
    create_things(3)
    finding = run_checks.check_refused_rows(PreflightContext(ANSWERS))
    assert (finding.severity, finding.details) == (Severity.YELLOW, ("things without a note: 3",))
    execute_sql("UPDATE trials_thing SET note = 'x'")
    assert run_checks.check_refused_rows(PreflightContext(ANSWERS)).severity == Severity.GREEN


def test_an_invalid_index_is_red_until_its_command_is_typed() -> None:
    create_things(2)
    execute_sql("UPDATE trials_thing SET name = 'same'")
    with pytest.raises(IntegrityError):
        execute_sql('CREATE UNIQUE INDEX CONCURRENTLY "Half made" ON trials_thing (name)')
    finding = objects.check_invalid_indexes(PreflightContext(ANSWERS))
    assert (finding.severity, finding.details) == (Severity.RED, ("Half made on trials_thing",))
    type_suggestion(finding)
    assert objects.check_invalid_indexes(PreflightContext(ANSWERS)).severity == Severity.GREEN


def test_an_unvalidated_constraint_is_yellow_until_its_command_is_typed() -> None:
    execute_sql("ALTER TABLE trials_thing ADD CONSTRAINT positive CHECK (score >= 0) NOT VALID")
    try:
        finding = objects.check_unvalidated_constraints(PreflightContext(ANSWERS))
        assert (finding.severity, finding.details) == (Severity.YELLOW, ("positive on trials_thing",))
        type_suggestion(finding)
        assert objects.check_unvalidated_constraints(PreflightContext(ANSWERS)).severity == Severity.GREEN
    finally:
        execute_sql("ALTER TABLE trials_thing DROP CONSTRAINT positive")


def test_objects_are_found_in_every_schema_of_the_search_path() -> None:
    execute_sql("""CREATE SCHEMA "It's {} game"; CREATE TABLE "It's {} game"."t {}" (name text)""")
    options = connection.settings_dict["OPTIONS"]
    path = {"options": r"""-c search_path=public,"It's\ {}\ game\""""}
    try:
        with override_connection(OPTIONS=options | path):
            execute_sql("""INSERT INTO "t {}" VALUES ('same'), ('same')""")
            execute_sql("""ALTER TABLE "t {}" ADD CONSTRAINT "No '" CHECK (name <> '') NOT VALID""")
            with pytest.raises(IntegrityError):
                execute_sql("""CREATE UNIQUE INDEX CONCURRENTLY "Half '" ON "t {}" (name)""")
            for check in (objects.check_invalid_indexes, objects.check_unvalidated_constraints):
                finding = check(PreflightContext(ANSWERS))
                assert finding.details[0].endswith(""" on "t {}\"""")
                type_suggestion(finding)
                assert check(PreflightContext(ANSWERS)).severity == Severity.GREEN
            assert "t {}" in {table.name for table in fetch_largest_tables(100)}
    finally:
        execute_sql("""DROP SCHEMA "It's {} game" CASCADE""")


def test_a_long_transaction_is_yellow_and_its_command_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with suppress(psycopg.OperationalError), player() as other:
        other.execute("SELECT 'a long report'")
        pid = other.info.backend_pid
        assert server.check_long_transactions(PreflightContext(ANSWERS)).severity == Severity.GREEN
        monkeypatch.setattr(server, "_LONG_TRANSACTION", timedelta())
        finding = server.check_long_transactions(PreflightContext(ANSWERS))
        assert finding.severity == Severity.YELLOW
        assert any(f"process {pid} " in detail and "a long report" in detail for detail in finding.details)
        type_suggestion(finding)
        wait_until(lambda: not execute_sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid))


def test_a_prepared_transaction_is_red_until_its_command_is_typed() -> None:
    if execute_sql("SHOW max_prepared_transactions") == [("0",)]:
        pytest.skip("this server has max_prepared_transactions = 0")
    with player() as other:
        other.execute("INSERT INTO trials_owner (name) VALUES ('x')")
        other.execute("PREPARE TRANSACTION 'left over'")
    finding = server.check_prepared_transactions(PreflightContext(ANSWERS))
    assert finding.severity == Severity.RED
    type_suggestion(finding)
    assert server.check_prepared_transactions(PreflightContext(ANSWERS)).severity == Severity.GREEN


def test_a_slot_not_in_use_is_yellow() -> None:
    execute_sql("SELECT pg_create_physical_replication_slot('gone', true)")
    finding = server.check_replication(PreflightContext(ANSWERS))
    execute_sql("SELECT pg_drop_replication_slot('gone')")
    assert finding.severity == Severity.YELLOW
    assert finding.details[0].startswith("slot gone: not in use, keeps ")


def test_an_indicator_that_would_hold_a_run_is_yellow(settings: Any) -> None:
    settings.OPS_HEALTH = HealthLimits(player_probe="SELECT pg_sleep(0.002)", player_latency_ms=1)
    finding = health.check_health(PreflightContext(ANSWERS))
    assert (finding.severity, finding.message) == (Severity.YELLOW, "A run would wait now.")
    assert finding.details[0].startswith("player_latency: players wait ")
    settings.OPS_HEALTH = HealthLimits()
    assert health.check_health(PreflightContext(ANSWERS)).severity == Severity.GREEN


def test_the_given_free_space_is_compared_with_the_largest_table() -> None:
    def severity(free: int) -> Severity:
        return space.check_database_disk(PreflightContext(ManualAnswers(database_free=free))).severity

    assert [severity(2**40), severity(2**20)] == [Severity.GREEN, Severity.RED]


def test_the_local_disk_includes_the_folder_of_exports(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUP_DIR, settings.EXPORT_ROOT = Path("/backups"), Path("/exports")
    monkeypatch.setattr(space, "_free_bytes", {Path("/backups"): 2**50, Path("/exports"): 1}.__getitem__)
    assert space.check_local_disk(PreflightContext(ANSWERS)).severity == Severity.RED


def test_a_check_without_privileges_is_yellow_and_the_others_run() -> None:
    execute_sql("CREATE ROLE nobody_much LOGIN PASSWORD 'x'; GRANT SELECT ON ops_run TO nobody_much")
    try:
        with override_connection(USER="nobody_much", PASSWORD="x"):
            findings = dict(iter_findings(PreflightContext(ANSWERS)))
    finally:
        execute_sql("DROP OWNED BY nobody_much; DROP ROLE nobody_much")
    assert findings["migrations"].severity == Severity.YELLOW
    assert "permission denied" in findings["migrations"].message
    assert {findings["indexes"].severity, findings["rollback plan"].severity} == {Severity.GREEN}


def test_without_the_database_preflight_fails() -> None:
    with override_connection(PORT=1), pytest.raises(OperationalError):
        call_command("preflight", "--no-input", stdout=StringIO())


def test_a_long_message_is_wrapped_and_a_long_command_is_not() -> None:
    finding = Finding(Severity.RED, "word " * 40, todo=("x" * 120,))
    lines = report.as_lines("name", finding)
    assert lines[-1].endswith("> " + "x" * 120)
    assert max(map(len, lines[:-1])) <= 100
