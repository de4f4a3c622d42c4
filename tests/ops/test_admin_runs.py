"""The page of a run: what it shows and what its buttons do."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from ops.models import AuditLog, Failure, FollowUp, Run
from ops.operations import registry
from ops.runs import lifecycle
from ops.states import State
from tests.admin_pages import confirmation_data, page_text
from tests.ops.running import create_run, create_things, execute_operation, execute_run
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def annotate(**options: object) -> Run:
    return create_run(registry.get_operation("trials_annotate"), **options)


def controls(staff: Client, run: Run) -> list[str]:
    page = staff.get(f"/admin/ops/run/{run.pk}/live/").content.decode()
    return re.findall(rf"/admin/ops/run/{run.pk}/(\w+)/", page)


def test_the_page_shows_the_progress_and_refreshes_while_active(staff: Client) -> None:
    create_things(4)
    run = annotate(workers=1)
    page = staff.get(f"/admin/ops/run/{run.pk}/change/").content.decode()
    assert f'data-url="/admin/ops/run/{run.pk}/live/"' in page
    assert 'data-active="yes"' in page
    execute_run(run)
    page = staff.get(f"/admin/ops/run/{run.pk}/live/")
    assert 'data-active="no"' in page.content.decode()
    assert "trials_annotate succeeded" in page_text(page)
    assert "4 of 4 100 %" in page_text(page)
    assert "Checks ok things without a note 0" in page_text(page)


def test_the_rate_is_computed_since_the_snapshot_of_the_page(staff: Client) -> None:
    create_things(4)
    run = annotate()
    lifecycle.start(run)
    run.lanes.update(changed=3)
    before = Run.objects.get().started_at.timestamp() - 10
    page = page_text(staff.get(f"/admin/ops/run/{run.pk}/live/?done=-9997&at={before}"))
    assert re.search(r"3 of 4 75 % \d{3} rows/s, 0.0 s left", page)


@pytest.mark.parametrize(
    "snapshot",
    ["done=x&at=y", "done=0&at=nan", "done=0&at=-inf", f"done=-{'9' * 999}&at=1", "done=2&at=-1e300"],
)
def test_an_invalid_snapshot_is_ignored(staff: Client, snapshot: str) -> None:
    create_things(4)
    run = annotate()
    lifecycle.start(run)
    run.lanes.update(changed=3)
    assert "3 of 4 75 %" in page_text(staff.get(f"/admin/ops/run/{run.pk}/live/?{snapshot}"))


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        (State.QUEUED, ["cancel"]),
        (State.RUNNING, ["pause", "cancel"]),
        (State.PAUSED, ["resume", "cancel"]),
        (State.FAILED, ["resume", "retry", "revert"]),
        (State.FINISHED_WITH_FAILURES, ["retry", "revert"]),
        (State.SUCCEEDED, ["retry", "revert"]),
    ],
)
def test_only_controls_that_the_state_allows_are_offered(
    staff: Client, state: State, verbs: list[str]
) -> None:
    run = annotate()
    if "revert" in verbs:
        run.lanes.update(changed=1)
        Failure.objects.create(run=run, object_id="1", error="no")
    Run.objects.filter(pk=run.pk).update(state=state)
    assert controls(staff, run) == verbs


def test_pause_resume_and_cancel_change_the_state(staff: Client) -> None:
    create_things(2)
    run = annotate()
    lifecycle.start(run)
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        response = staff.post(f"/admin/ops/run/{run.pk}/{verb}/")
        assert response.headers["Location"] == f"/admin/ops/run/{run.pk}/change/"
        run.refresh_from_db()
        assert run.state == state
    assert run.workers == 1  # no terminal is at hand


def test_a_forbidden_transition_is_reported(staff: Client) -> None:
    run = annotate()
    page = staff.post(f"/admin/ops/run/{run.pk}/pause/", follow=True)
    assert f"Run {run.pk} has not started, so it cannot be paused." in page_text(page)
    assert staff.get(f"/admin/ops/run/{run.pk}/pause/").status_code == 405


def test_without_a_csrf_token_nothing_is_done(staff: Client) -> None:
    run = annotate()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    for url in (f"/admin/ops/run/{run.pk}/cancel/", f"/admin/ops/run/{run.pk}/revert/"):
        assert strict.post(url).status_code == 403
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_revert_is_previewed_and_then_started(staff: Client) -> None:
    create_things(3)
    run = execute_operation(registry.get_operation("trials_annotate"))
    url = f"/admin/ops/run/{run.pk}/revert/"
    assert "3 things would change." in page_text(staff.get(url))
    staff.post(url)
    revert = Run.objects.latest("pk")
    assert (revert.operation, revert.params, revert.workers) == ("revert", {"run": run.pk}, 1)
    execute_run(revert)
    assert Thing.objects.filter(note=None).count() == 3


def test_a_revert_changed_after_its_preview_starts_nothing(staff: Client) -> None:
    create_things(3)
    url = f"/admin/ops/run/{execute_operation(registry.get_operation('trials_annotate')).pk}/revert/"
    response = staff.post(url, confirmation_data(staff.get(url), how_max_rate="1"))
    assert Run.objects.count() == 1
    page = staff.get(response.headers["Location"])
    assert "3 things would change." in page_text(page)
    staff.post(response.headers["Location"], confirmation_data(page))
    assert Run.objects.latest("pk").max_rate == 1


def test_a_retry_has_only_the_failed_rows(staff: Client) -> None:
    _, second = create_things(2)
    run = annotate()
    Failure.objects.create(run=run, object_id=str(second.pk), error="too long\nreally")
    lifecycle.cancel(run)
    assert "Rows that failed t2 too long" in page_text(staff.get(f"/admin/ops/run/{run.pk}/live/"))
    url = f"/admin/ops/run/{run.pk}/retry/"
    assert "1 thing would change." in page_text(staff.get(url))
    staff.post(url)
    retry = Run.objects.latest("pk")
    assert list(retry.keys.values_list("object_id", flat=True)) == [str(second.pk)]


def test_a_retry_without_failed_rows_is_refused(staff: Client) -> None:
    run = annotate()
    page = staff.get(f"/admin/ops/run/{run.pk}/retry/", follow=True)
    assert f"Run {run.pk} has no failed rows." in page_text(page)


def test_stored_texts_of_a_run_are_escaped(staff: Client) -> None:
    create_things(1)
    run = execute_operation(registry.get_operation("trials_annotate"), params={})
    Run.objects.filter(pk=run.pk).update(error="<script>", performed_by="<script>")
    changes = {"note": {"old": "<script>", "new": "<script>"}}
    AuditLog.objects.create(action="a", object_type="t", object_id="1", performed_by="p", changes=changes)
    for url in (f"/admin/ops/run/{run.pk}/live/", "/admin/ops/run/", "/admin/ops/auditlog/"):
        page = staff.get(url).content.decode()
        assert "&lt;script&gt;" in page
        assert "<script>" not in page


def test_a_missing_run_answers_404(staff: Client) -> None:
    for what in ("change", "live", "pause", "revert"):
        assert staff.get(f"/admin/ops/run/987654/{what}/").status_code == 404


def test_the_page_says_when_a_requested_run_starts(staff: Client) -> None:
    run = annotate()
    FollowUp.objects.create(holder=run, operation="trials_score", performed_by="ada")
    page = page_text(staff.get(f"/admin/ops/run/{run.pk}/live/"))
    assert "trials_score (requested by ada), deferred until the holding run ends" in page
    assert f"waits to be started in a terminal: manage.py runs resume {run.pk}" in page
