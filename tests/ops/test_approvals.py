"""A run over many rows waits for a second person."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from redis import Redis
from rq import Queue

from ops import permissions
from ops.exceptions import ColumnClaimed, InvalidTransition, OpsError
from ops.models import Approval, Claim, Decision, Origin, Run
from ops.operations import Operation
from ops.operations.revert import Revert
from ops.operations.scope import Scope
from ops.queue.liveness import connect_queue
from ops.runs import approvals, creation, lifecycle
from ops.runs.approvals import ApprovalRefused
from ops.runs.backup_policy import BackupRequired
from ops.runs.creation import RunRequest
from ops.states import State
from ops.workers.reaper import reap
from tests.conftest import Manage
from tests.ops.conftest import RegisterOperation
from tests.ops.running import (
    create_things,
    execute_run,
    execute_sql,
    is_lock_awaited,
    make_operation,
    make_row_operation,
    primary_keys,
    run_jobs,
    wait_until,
)
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)

FILL = make_operation(Thing.objects.filter(note=None), {"note": F("name")}, name="fill")
LIMIT = 10


@pytest.fixture(autouse=True)
def _limit(settings: LazySettings, redis_server: Redis) -> None:
    settings.OPS_APPROVAL_ROWS = LIMIT


@pytest.fixture
def fill(declare: RegisterOperation) -> type[Operation]:
    declared = declare(FILL)
    permissions.create_permissions("default")
    return declared


@pytest.fixture
def ada(fill: type[Operation]) -> User:
    return create_user("ada", "run_fill", "view_thing")


@pytest.fixture
def bob() -> User:
    return create_user("bob", "approve_run", "view_thing")


def create_user(name: str, *codenames: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def ask(by: str = "ada", declared: type[Operation] = FILL, **options: Any) -> Run:
    options = {"origin": Origin.ADMIN, "workers": 1, **options}
    return creation.create_run(RunRequest(declared, by, **options))


def ask_for_many(**options: Any) -> Run:
    create_things(LIMIT + 1)
    return ask(**options)


def queue() -> Queue:
    return connect_queue()


def decision(run: Run) -> tuple[str, str]:
    run.refresh_from_db()
    return run.state, Approval.objects.get(run=run).decision


def test_a_run_over_the_limit_waits_and_holds_nobody(ada: User) -> None:
    run = ask_for_many(comment=" New season. ")
    approval = Approval.objects.get(run=run)
    assert (run.state, run.total, Claim.objects.count(), len(queue())) == ("awaiting_approval", 11, 0, 0)
    assert (approval.asked_by, approval.rows, approval.earlier_rows, approval.limit) == (ada, 11, 0, LIMIT)
    assert approval.comment == "New season."
    assert [each.run for each in approvals.list_waiting()] == [run]
    small = ask("eve", scope=Scope.of_keys([Thing.objects.first().pk]))  # type: ignore[union-attr]
    assert execute_run(small).state == "succeeded"  # on the same column


def test_a_run_of_as_many_rows_as_the_limit_needs_nobody(ada: User) -> None:
    create_things(LIMIT)
    run = ask()
    assert (run.state, Claim.objects.count()) == ("queued", 1)
    assert not Approval.objects.exists()


def test_the_runs_of_a_day_that_needed_nobody_add_up(ada: User, bob: User) -> None:
    things = create_things(3 * LIMIT)
    nearly = [Scope.of_keys(primary_keys(things[n : n + LIMIT - 1])) for n in (0, LIMIT, 2 * LIMIT)]
    first = execute_run(ask(scope=nearly[0]))
    second = ask(scope=nearly[1])
    assert (first.state, second.state) == ("succeeded", "awaiting_approval")
    assert Approval.objects.get().earlier_rows == LIMIT - 1
    others = ask("eve", scope=nearly[1])
    assert others.state == "queued"  # since she has done nothing yet
    lifecycle.cancel(others)
    one = Scope.of_keys([things[-1].pk])
    approvals.decline(second, bob)
    third = ask(scope=one)
    assert third.state == "queued"  # what was asked of a second person does not count
    lifecycle.cancel(third)
    Run.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(hours=25))
    assert ask(scope=nearly[2]).state == "queued"


def test_a_cancelled_run_counts_only_what_it_changed(ada: User) -> None:
    create_things(LIMIT)
    lifecycle.cancel(ask())
    assert ask().state == "queued"


def test_two_runs_asked_for_at_once_count_each_other(ada: User) -> None:
    things = create_things(2 * LIMIT)
    with transaction.atomic():
        first = ask(scope=Scope.of_keys(primary_keys(things[:LIMIT])))
        others: list[Run] = []
        scope = Scope.of_keys(primary_keys(things[LIMIT:]))
        thread = start_thread(lambda: others.append(ask(scope=scope)))
        wait_until(is_lock_awaited_in_other_session)
    thread.join()
    assert (first.state, others[0].state) == ("queued", "awaiting_approval")


def is_lock_awaited_in_other_session() -> bool:
    found: list[bool] = []
    start_thread(lambda: found.append(is_lock_awaited())).join()
    return found[0]


def start_thread(work: Callable[[], object]) -> Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    return thread


def test_reverts_retries_and_follow_ups_need_nobody(
    ada: User, bob: User, declare: RegisterOperation, settings: LazySettings
) -> None:
    refusing = make_row_operation(
        Thing.objects.filter(note=None),
        lambda rows: {row.pk: ValueError("no") if row.name > "t5" else {"note": "x"} for row in rows},
        "note",
        name="fill",
    )
    declared = declare(refusing)
    run = ask_for_many(declared=declared)
    approvals.approve(run, bob)
    assert execute_run(run).state == "finished_with_failures"
    settings.OPS_APPROVAL_ROWS = 1
    retry = ask(declared=declared, scope=Scope.of_failures(run))
    assert (retry.state, retry.total > 1) == ("queued", True)
    lifecycle.cancel(retry)
    assert ask(declared=Revert, params={"run": run.pk}).state == "queued"
    Claim.objects.all().delete()
    Run.objects.update(state=State.CANCELLED)
    assert ask(declared=declared, origin=Origin.NONE).state == "queued"


def test_commands_wait_only_where_the_setting_says_so(ada: User, settings: LazySettings) -> None:
    run = ask_for_many(origin=Origin.COMMAND)
    assert run.state == "queued"
    lifecycle.cancel(run)
    settings.OPS_APPROVAL_COMMANDS = True
    assert ask(origin=Origin.COMMAND).state == "awaiting_approval"
    settings.OPS_APPROVAL_ROWS = None
    assert ask(origin=Origin.COMMAND).state == "queued"


@pytest.fixture
def waiting_commands(settings: LazySettings) -> None:
    settings.OPS_APPROVAL_COMMANDS = True
    create_things(LIMIT + 1)


@pytest.mark.usefixtures("waiting_commands")
def test_a_command_says_that_its_run_waits(manage: Manage, bob: User) -> None:
    done = manage("operate", "trials_annotate", "--execute", "--as", "ada")
    run = Run.objects.get()
    expires = f"{Approval.objects.get().expires_at:%Y-%m-%d %H:%M:%S} UTC"
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines() == [
        f"Run {run.pk} was not started: it waits for a second person.",
        f"  approval  awaited until {expires}: 11 rows are more than the 10 that one person may change alone",
        f"Somebody approves it in the admin. To start it then: manage.py runs resume {run.pk}",
        f"To cancel it: manage.py runs cancel {run.pk}",
    ]
    assert "awaiting approval" in manage("runs").stdout
    refused = manage("runs", "resume", run.pk)
    assert f"Run {run.pk} awaits approval, so it cannot be resumed." in refused.stderr
    approvals.approve(run, bob, "Go.")
    done = manage("runs", "resume", run.pk)
    assert (done.returncode, Thing.objects.filter(note=None).count()) == (0, 0)
    assert "  approval  approved by bob: Go. (" in manage("runs", "show", run.pk).stdout


@pytest.mark.usefixtures("waiting_commands")
def test_a_command_for_the_workers_waits_and_can_be_cancelled(manage: Manage) -> None:
    done = manage("operate", "trials_annotate", "--execute", "--queue", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["state"], document["origin"]) == (3, "awaiting_approval", "command")
    assert (document["approval"]["rows"], len(queue())) == (LIMIT + 1, 0)
    run = document["run"]
    done = manage("runs", "cancel", run, "--as", "eve")
    assert f"Run {run} was cancelled before it started." in done.stdout
    shown = json.loads(manage("runs", "show", run, "--json").stdout)
    assert shown["approval"]["decided_by"] == "eve"


def test_the_migration_log_has_both_names_and_comments(ada: User, bob: User) -> None:
    run, out = ask_for_many(comment="New\nseason."), StringIO()
    call_command("migration_log", stdout=out)
    assert ": awaiting approval. Asked of a second person (New season.): not decided yet" in out.getvalue()
    approvals.decline(run, bob, "Not\nyet.")
    call_command("migration_log", stdout=out)
    assert ". Asked of a second person (New season.): declined by bob: Not yet." in out.getvalue()


def test_an_approved_run_does_what_was_asked_and_no_more(ada: User, bob: User) -> None:
    things = create_things(LIMIT + 5)
    asked = things[: LIMIT + 1]
    run = ask(scope=Scope.of_keys(primary_keys(asked)))
    create_things(3)
    approvals.approve(run, bob, "Looks right.")
    assert (run.state, Claim.objects.count(), len(queue())) == ("queued", 1, 1)
    run_jobs(queue())
    approval = Approval.objects.get(run=run)
    assert (approval.decision, approval.decided_by, approval.decision_comment) == (
        "approved",
        "bob",
        "Looks right.",
    )
    run.refresh_from_db()
    assert (run.state, run.total) == ("succeeded", LIMIT + 1)
    assert primary_keys(Thing.objects.exclude(note=None)) == primary_keys(asked)


@pytest.mark.parametrize(("more", "state"), [(1, "queued"), (2, "cancelled")])
def test_a_run_that_grew_by_more_than_a_percent_is_sent_back(
    ada: User, bob: User, more: int, state: str
) -> None:
    create_things(100)
    Thing.objects.filter(name__in=["t1", "t2"]).update(note="x")
    create_things(2)  # 100 now
    run = ask()
    assert run.total == 100
    Thing.objects.filter(note="x", pk__in=Thing.objects.filter(note="x")[:more].values("pk")).update(
        note=None
    )
    create_things(50)  # newer rows are not the run's
    with suppress(ApprovalRefused):
        approvals.approve(run, bob)
    assert decision(run) == (state, "approved" if state == "queued" else "returned")
    if state == "cancelled":
        assert Approval.objects.get().reason == (
            "It would change 102 rows now, and 100 when it was asked for. ada has to ask again."
        )
    else:
        assert run.total == 101


def test_a_run_of_fewer_rows_than_were_asked_for_is_approved(ada: User, bob: User) -> None:
    run = ask_for_many()
    Thing.objects.filter(name="t1").update(note="x")
    approvals.approve(run, bob)
    assert (run.state, run.total) == ("queued", LIMIT)


def test_a_run_of_a_changed_declaration_is_sent_back(
    ada: User, bob: User, declare: RegisterOperation
) -> None:
    run = ask_for_many()
    declare(make_operation(Thing.objects.filter(note=None), {"note": "?"}, name="fill"))
    with pytest.raises(ApprovalRefused, match="The code of fill changed after it was asked for"):
        approvals.approve(run, bob)
    assert decision(run) == ("cancelled", "returned")


def test_nobody_decides_on_their_own_run(ada: User) -> None:
    ada.is_superuser = True
    ada.save()
    run = ask_for_many()
    for decide in (approvals.approve, approvals.decline):
        with pytest.raises(ApprovalRefused, match="yourself"):
            decide(run, ada)
    User.objects.filter(pk=ada.pk).update(username="ada2")  # still the same person
    with pytest.raises(ApprovalRefused, match="yourself"):
        approvals.approve(run, User.objects.get(pk=ada.pk))
    assert decision(run) == ("awaiting_approval", "")


@pytest.mark.parametrize("missing", ["approve_run", "view_thing", "account"])
def test_an_approver_without_permission_is_refused(ada: User, bob: User, missing: str) -> None:
    run = ask_for_many()
    assert bob.has_perm("ops.approve_run")  # and this is cached
    bob.user_permissions.remove(*Permission.objects.filter(codename=missing))
    if missing == "account":
        User.objects.filter(pk=bob.pk).update(is_active=False)
    for decide in (approvals.approve, approvals.decline):
        with pytest.raises(ApprovalRefused, match="You may not approve run"):
            decide(run, bob)
    assert decision(run) == ("awaiting_approval", "")


@pytest.mark.parametrize("lost", ["permission", "activity", "account"])
def test_a_run_whose_asker_may_not_start_it_any_more_is_refused(ada: User, bob: User, lost: str) -> None:
    run = ask_for_many()
    if lost == "permission":
        ada.user_permissions.clear()
    elif lost == "activity":
        User.objects.filter(pk=ada.pk).update(is_active=False)
    else:
        ada.delete()
    words = "may not start this operation" if lost == "permission" else "has no account any more"
    with pytest.raises(ApprovalRefused, match=f"ada {words}"):
        approvals.approve(run, bob)
    assert decision(run) == ("awaiting_approval", "")
    approvals.decline(run, bob, "Ada has left.")
    assert decision(run) == ("cancelled", "declined")


def test_a_claimed_column_delays_the_approval(ada: User, bob: User) -> None:
    run = ask_for_many()
    other = ask(origin=Origin.NONE)
    with pytest.raises(ColumnClaimed, match=f"Run {other.pk}"):
        approvals.approve(run, bob)
    assert decision(run) == ("awaiting_approval", "")
    lifecycle.cancel(other)
    approvals.approve(run, bob)
    assert decision(run) == ("queued", "approved")


def test_a_backup_has_to_be_fresh_when_the_run_is_approved(
    ada: User, bob: User, settings: LazySettings
) -> None:
    run = ask_for_many()
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=1)
    with pytest.raises(BackupRequired):
        approvals.approve(run, bob)
    assert decision(run) == ("awaiting_approval", "")


def expire(run: Run) -> None:
    Approval.objects.filter(run=run).update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("by", [reap, approvals.expire_due])
def test_a_run_that_nobody_decided_on_expires(ada: User, by: Callable[[], None]) -> None:
    run = ask_for_many()
    by()
    assert decision(run) == ("awaiting_approval", "")
    expire(run)
    assert not approvals.list_waiting().exists()
    by()
    assert decision(run) == ("cancelled", "expired")


def test_where_nothing_can_be_written_nothing_expires(ada: User) -> None:
    run = ask_for_many()
    expire(run)
    execute_sql("SET default_transaction_read_only = on")
    try:
        approvals.expire_due()
    finally:
        execute_sql("RESET default_transaction_read_only")
    assert decision(run) == ("awaiting_approval", "")


def test_an_expired_run_is_not_approved(ada: User, bob: User) -> None:
    run = ask_for_many()
    expire(run)
    with pytest.raises(ApprovalRefused, match="has expired"):
        approvals.approve(run, bob)
    assert decision(run) == ("cancelled", "expired")


def test_a_declined_run_is_cancelled_with_the_comment(ada: User, bob: User) -> None:
    run = ask_for_many()
    approvals.decline(run, bob, "Not before Monday.")
    approval = Approval.objects.get(run=run)
    assert (run.state, approval.decided_by, approval.decision_comment) == (
        "cancelled",
        "bob",
        "Not before Monday.",
    )
    with pytest.raises(ApprovalRefused, match=f"^Run {run.pk} was declined by bob.$"):
        approvals.approve(run, bob)
    assert len(queue()) == 0


def test_a_waiting_run_can_be_cancelled_but_not_resumed_or_paused(ada: User, bob: User) -> None:
    run = ask_for_many()
    for change in (lifecycle.requeue, lifecycle.pause, lifecycle.start):
        with pytest.raises(InvalidTransition):
            change(run)
    lifecycle.cancel(run, "ada")
    assert decision(run) == ("cancelled", "withdrawn")
    assert Approval.objects.get().decided_by == "ada"
    with pytest.raises(ApprovalRefused, match="was cancelled by ada"):
        approvals.approve(run, bob)


def decide_at_once(run: Run, *decisions: Callable[[Run], object]) -> list[str]:
    """Take all decisions while the run is locked, so that they race; return their refusals."""
    refusals: list[str] = []

    def decide(take: Callable[[Run], object]) -> None:
        try:
            take(Run.objects.get(pk=run.pk))
        except OpsError as exc:
            refusals.append(exc.reason)

    with transaction.atomic():
        Run.objects.select_for_update().get(pk=run.pk)
        threads = [start_thread(lambda take=take: decide(take)) for take in decisions]  # type: ignore[misc]
        wait_until(is_lock_awaited_in_other_session)
    for thread in threads:
        thread.join()
    return refusals


def test_of_two_approvers_at_once_one_wins(ada: User, bob: User) -> None:
    eve = create_user("eve", "approve_run", "view_thing")
    run = ask_for_many()
    refusals = decide_at_once(
        run, lambda each: approvals.approve(each, bob), lambda each: approvals.decline(each, eve)
    )
    state, taken = decision(run)
    winner = Approval.objects.get().decided_by
    assert (state, taken, winner) in [("queued", "approved", "bob"), ("cancelled", "declined", "eve")]
    assert refusals == [f"Run {run.pk} was {taken} by {winner}."]
    assert Claim.objects.filter(run=run).exists() == (state == "queued")


def test_approved_and_cancelled_at_once_it_ends_cancelled(ada: User, bob: User) -> None:
    run = ask_for_many()
    refusals = decide_at_once(
        run, lambda each: approvals.approve(each, bob), lambda each: lifecycle.cancel(each, "ada")
    )
    state, taken = decision(run)
    assert state == "cancelled"  # before or after it was approved
    assert refusals == ([] if taken == Decision.APPROVED else [f"Run {run.pk} was cancelled by ada."])
    assert not Claim.objects.exists()
    assert run_jobs(queue()) in (0, 1)
    assert not Thing.objects.exclude(note=None).exists()
