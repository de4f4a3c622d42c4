"""The page of a run: what it shows, what its buttons do."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from ops.models import AuditLog, Failure, Run
from ops.operations import registry
from ops.runs import lifecycle
from ops.states import State
from tests.ops.running import create_run, create_things, execute_operation, execute_run
from tests.ops.test_admin_operations import sent, text
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def annotate(**asked: object) -> Run:
    return create_run(registry.get_operation("trials_annotate"), **asked)


def controls(staff: Client, run: Run) -> list[str]:
    page = staff.get(f"/admin/ops/run/{run.pk}/live/").content.decode()
    return re.findall(rf"/admin/ops/run/{run.pk}/(\w+)/", page)


def test_the_page_shows_how_far_the_run_is_and_polls_while_it_moves(staff: Client) -> None:
    create_things(4)
    run = annotate(workers=1)
    page = staff.get(f"/admin/ops/run/{run.pk}/change/").content.decode()
    assert f'data-address="/admin/ops/run/{run.pk}/live/"' in page
    assert 'data-active="yes"' in page
    execute_run(run)
    page = staff.get(f"/admin/ops/run/{run.pk}/live/")
    assert 'data-active="no"' in page.content.decode()
    assert "trials_annotate succeeded" in text(page)
    assert "4 of 4 100 %" in text(page)
    assert "Checks ok things without a note 0" in text(page)


def test_the_rate_is_that_since_the_page_first_looked(staff: Client) -> None:
    create_things(4)
    run = annotate()
    lifecycle.start(run)
    run.lanes.update(changed=3)
    before = Run.objects.get().started_at.timestamp() - 10
    page = text(staff.get(f"/admin/ops/run/{run.pk}/live/?done=-9997&at={before}"))
    assert re.search(r"3 of 4 75 % \d{3} rows/s, 0.0 s left", page)


@pytest.mark.parametrize(
    "look", ["done=x&at=y", "done=0&at=nan", "done=0&at=-inf", f"done=-{'9' * 999}&at=1", "done=2&at=-1e300"]
)
def test_a_look_that_cannot_have_been_is_no_error(staff: Client, look: str) -> None:
    create_things(4)
    run = annotate()
    lifecycle.start(run)
    run.lanes.update(changed=3)
    assert "3 of 4 75 %" in text(staff.get(f"/admin/ops/run/{run.pk}/live/?{look}"))


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.QUEUED, ["cancel"]),
        (State.RUNNING, ["pause", "cancel"]),
        (State.PAUSED, ["resume", "cancel"]),
        (State.FAILED, ["resume", "retry", "revert"]),
        (State.FINISHED_WITH_FAILURES, ["retry", "revert"]),
        (State.SUCCEEDED, ["retry", "revert"]),
    ],
)
def test_only_what_the_state_allows_is_offered(staff: Client, state: State, shown: list[str]) -> None:
    run = annotate()
    if "revert" in shown:
        run.lanes.update(changed=1)
        Failure.objects.create(run=run, object_id="1", error="no")
    Run.objects.filter(pk=run.pk).update(state=state)
    assert controls(staff, run) == shown


def test_pause_resume_and_cancel_do_what_they_say(staff: Client) -> None:
    create_things(2)
    run = annotate()
    lifecycle.start(run)
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        answer = staff.post(f"/admin/ops/run/{run.pk}/{verb}/")
        assert answer.headers["Location"] == f"/admin/ops/run/{run.pk}/change/"
        run.refresh_from_db()
        assert run.state == state
    assert run.workers == 1  # no terminal is at hand


def test_a_move_that_is_not_allowed_is_told(staff: Client) -> None:
    run = annotate()
    page = staff.post(f"/admin/ops/run/{run.pk}/pause/", follow=True)
    assert f"run {run.pk} cannot become pausing: its state is queued." in text(page)
    assert staff.get(f"/admin/ops/run/{run.pk}/pause/").status_code == 405


def test_without_a_token_nothing_is_done(staff: Client) -> None:
    run = annotate()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    for address in (f"/admin/ops/run/{run.pk}/cancel/", f"/admin/ops/run/{run.pk}/revert/"):
        assert strict.post(address).status_code == 403
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_revert_is_previewed_and_then_started(staff: Client) -> None:
    create_things(3)
    run = execute_operation(registry.get_operation("trials_annotate"))
    address = f"/admin/ops/run/{run.pk}/revert/"
    assert "3 things would change." in text(staff.get(address))
    staff.post(address)
    revert = Run.objects.latest("pk")
    assert (revert.operation, revert.params, revert.workers) == ("revert", {"run": run.pk}, 1)
    execute_run(revert)
    assert Thing.objects.filter(note=None).count() == 3


def test_a_revert_asked_otherwise_than_previewed_starts_nothing(staff: Client) -> None:
    create_things(3)
    address = f"/admin/ops/run/{execute_operation(registry.get_operation('trials_annotate')).pk}/revert/"
    answer = staff.post(address, sent(staff.get(address), how_max_rate="1"))
    assert Run.objects.count() == 1
    page = staff.get(answer.headers["Location"])
    assert "3 things would change." in text(page)
    staff.post(answer.headers["Location"], sent(page))
    assert Run.objects.latest("pk").max_rate == 1


def test_a_retry_is_of_the_failed_rows_alone(staff: Client) -> None:
    _, second = create_things(2)
    run = annotate()
    Failure.objects.create(run=run, object_id=str(second.pk), error="too long\nreally")
    lifecycle.cancel(run)
    assert "Rows that failed t2 too long" in text(staff.get(f"/admin/ops/run/{run.pk}/live/"))
    address = f"/admin/ops/run/{run.pk}/retry/"
    assert "1 thing would change." in text(staff.get(address))
    staff.post(address)
    retry = Run.objects.latest("pk")
    assert list(retry.keys.values_list("object_id", flat=True)) == [str(second.pk)]


def test_a_retry_without_failed_rows_is_refused_in_words(staff: Client) -> None:
    run = annotate()
    page = staff.get(f"/admin/ops/run/{run.pk}/retry/", follow=True)
    assert f"run {run.pk} has no failed rows." in text(page)


def test_what_was_said_of_a_run_cannot_become_markup(staff: Client) -> None:
    create_things(1)
    run = execute_operation(registry.get_operation("trials_annotate"), params={})
    Run.objects.filter(pk=run.pk).update(error="<script>", performed_by="<script>")
    changes = {"note": {"old": "<script>", "new": "<script>"}}
    AuditLog.objects.create(action="a", object_type="t", object_id="1", performed_by="p", changes=changes)
    for address in (f"/admin/ops/run/{run.pk}/live/", "/admin/ops/run/", "/admin/ops/auditlog/"):
        page = staff.get(address).content.decode()
        assert "&lt;script&gt;" in page
        assert "<script>" not in page


def test_a_run_that_is_not_there_is_not_found(staff: Client) -> None:
    for what in ("change", "live", "pause", "revert"):
        assert staff.get(f"/admin/ops/run/987654/{what}/").status_code == 404
