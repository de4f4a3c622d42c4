"""The page of a run: what it shows and what its buttons do."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from redis import Redis

from cards.models import Card
from ops.admin.live.controls import RUN_CONTROLS
from ops.admin.runs import runs
from ops.models import AuditLog, Failure, FollowUp, Run
from ops.operations import registry
from ops.operations.scope import Scope
from ops.runs import lifecycle
from ops.states import State
from tests.admin_pages import confirmation_data, get_with_preview, page_text
from tests.ops.running import create_run, create_things, execute_operation, execute_run
from tests.trials.models import Thing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def annotate(**options: object) -> Run:
    return create_run(registry.get_operation("trials_annotate"), **options)


def show(staff: Client, run: Run) -> str:
    return page_text(staff.get(f"/admin/ops/run/{run.pk}/live/"))


def controls(staff: Client, run: Run) -> list[str]:
    page = staff.get(f"/admin/ops/run/{run.pk}/live/").content.decode()
    pages = re.findall(rf"/admin/ops/run/{run.pk}/(\w+)/", page)
    return [name for name in pages if name in RUN_CONTROLS]


def test_the_page_shows_the_progress_and_refreshes_while_active(staff: Client) -> None:
    create_things(4)
    run = annotate(workers=1)
    page = staff.get(f"/admin/ops/run/{run.pk}/change/").content.decode()
    assert f'data-url="/admin/ops/run/{run.pk}/live/"' in page
    assert 'data-active="yes"' in page
    execute_run(run)
    page = staff.get(f"/admin/ops/run/{run.pk}/live/")
    assert 'data-active="no"' in page.content.decode()
    assert "Trials annotate succeeded" in page_text(page)
    assert "4 of 4 100 %" in page_text(page)
    assert "Checks ok things without a note none" in page_text(page)


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


def test_a_run_that_cannot_be_resumed_yet_links_to_the_one_in_its_way(staff: Client) -> None:
    create_things(1)
    run = annotate()
    Run.objects.filter(pk=run.pk).update(state=State.FAILED)
    run.claims.all().delete()
    other = annotate()
    page = staff.post(f"/admin/ops/run/{run.pk}/resume/", follow=True)
    assert f"Run {other.pk} (Trials annotate) writes the same field" in page_text(page)
    assert f'href="/admin/ops/run/{other.pk}/change/"' in page.content.decode()


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
    assert "3 things would change." in page_text(get_with_preview(staff, url))
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
    page = get_with_preview(staff, response.headers["Location"])
    assert "3 things would change." in page_text(page)
    staff.post(response.headers["Location"], confirmation_data(page))
    assert Run.objects.latest("pk").max_rate == 1


def test_a_retry_has_only_the_failed_rows(staff: Client) -> None:
    _, second = create_things(2)
    run = annotate()
    Failure.objects.create(run=run, object_id=str(second.pk), error="too long\nreally")
    lifecycle.cancel(run)
    assert "Things that failed t2 too long" in page_text(staff.get(f"/admin/ops/run/{run.pk}/live/"))
    url = f"/admin/ops/run/{run.pk}/retry/"
    assert "1 thing would change." in page_text(get_with_preview(staff, url))
    staff.post(url)
    retry = Run.objects.latest("pk")
    assert list(retry.keys.values_list("object_id", flat=True)) == [str(second.pk)]
    assert f"Retried by run {retry.pk} (" in page_text(staff.get(f"/admin/ops/run/{run.pk}/live/"))
    assert f"Retries run {run.pk} " in page_text(staff.get(f"/admin/ops/run/{retry.pk}/live/"))


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
    assert "Followed by Trials score, as soon as this run ends (requested by ada)" in page
    staff_words, operator_words = page.split("For operators")
    assert "was prepared in a terminal, and waits there for an operator to start it" in staff_words
    assert "manage.py" not in staff_words
    assert f"manage.py runs resume {run.pk}" in operator_words


@pytest.mark.parametrize("stored", [int, str])  # `operate revert --run 1` stores text
def test_a_reverted_run_says_by_which_run_and_is_not_reverted_again(
    staff: Client, stored: type[int | str]
) -> None:
    create_things(3)
    run = execute_operation(registry.get_operation("trials_annotate"))
    assert controls(staff, run) == ["revert"]
    revert = execute_operation(registry.get_operation("revert"), params={"run": stored(run.pk)})
    page = staff.get(f"/admin/ops/run/{run.pk}/live/")
    assert f"Trials annotate reverted by run {revert.pk} 100 %" in page_text(page)
    assert f'href="/admin/ops/run/{revert.pk}/change/"' in page.content.decode()
    assert "succeeded" not in page_text(page)
    assert f"Run {run.pk} (Trials annotate)" in page_text(staff.get(f"/admin/ops/run/{run.pk}/change/"))
    assert f"Reverted by run {revert.pk} (3 things)" in page_text(page)
    assert "revert" not in controls(staff, run)


@pytest.mark.parametrize("stored", [int, str])  # `operate revert --run 1` stores text
def test_a_revert_says_which_run_it_reverts(staff: Client, stored: type[int | str]) -> None:
    create_things(3)
    run = execute_operation(registry.get_operation("trials_annotate"))
    revert = execute_operation(registry.get_operation("revert"), params={"run": stored(run.pk)})
    page = staff.get(f"/admin/ops/run/{revert.pk}/live/")
    assert f"Revert of run {run.pk} succeeded" in page_text(page)
    assert f"Reverts run {run.pk} (Trials annotate)" in page_text(page)
    assert f"Things those that run {run.pk} changed" in page_text(page)
    assert f'href="/admin/ops/run/{run.pk}/change/"' in page.content.decode()


def test_a_partly_reverted_run_offers_to_revert_the_rest(staff: Client) -> None:
    rows = create_things(3)
    run = execute_operation(registry.get_operation("trials_annotate"))
    declared, scope = registry.get_operation("revert"), Scope.of_keys([rows[0].pk])
    revert = execute_operation(declared, params={"run": run.pk}, scope=scope)
    assert f"partly reverted by run {revert.pk}" in show(staff, run)
    assert "revert" in controls(staff, run)
    waiting = create_run(declared, params={"run": run.pk})
    assert f"being reverted by run {waiting.pk}" in show(staff, run)
    assert "revert" not in controls(staff, run)


def test_the_list_of_runs_shows_which_were_reverted(staff: Client) -> None:
    create_things(2)
    run = execute_operation(registry.get_operation("trials_annotate"))
    revert = execute_operation(registry.get_operation("revert"), params={"run": run.pk})
    other = execute_operation(registry.get_operation("trials_annotate"))
    page = page_text(staff.get("/admin/ops/run/"))
    assert f"Run {run.pk} Trials annotate reverted by run {revert.pk}" in page
    assert f"Run {revert.pk} Revert of run {run.pk} succeeded" in page
    assert f"Run {other.pk} Trials annotate succeeded" in page


def test_runs_that_follow_each_other_are_linked(staff: Client) -> None:
    run = execute_operation(registry.get_operation("trials_annotate"))
    follower = create_run(registry.get_operation("trials_score"), params={"score": 5}, follows=run)
    assert f"Followed by run {follower.pk} (Trials score) queued" in show(staff, run)
    assert f"Started after run {run.pk} (Trials annotate)" in show(staff, follower)
    assert (
        f'href="/admin/ops/run/{run.pk}/' in staff.get(f"/admin/ops/run/{follower.pk}/live/").content.decode()
    )


def test_the_number_of_changed_rows_links_to_their_audit_rows(staff: Client) -> None:
    create_things(2)
    run = execute_operation(registry.get_operation("trials_annotate"))
    page = staff.get(f"/admin/ops/run/{run.pk}/live/")
    assert "What it changed: 2 things" in page_text(page)
    url = f"/admin/ops/run/{run.pk}/changes/"
    assert f'href="{url}"' in page.content.decode()
    assert len(staff.get(url).context["rows"]) == 2


def test_the_details_say_what_was_asked_in_words(staff: Client) -> None:
    things = create_things(3, note="n")
    declared = registry.get_operation("trials_score")
    scope = Scope({"note": "n"}, keys=Scope.of_keys([things[0].pk]).keys)
    run = create_run(declared, params={"score": 5, "only_noted": True}, scope=scope)
    staff_words = show(staff, run).split("For operators")[0]
    assert "Score 5 Only noted yes Things note = n and 1 chosen thing Fields score Requested" in staff_words
    assert "manage.py" not in staff_words


@pytest.mark.parametrize(
    ("options", "changes", "words"),
    [
        (
            {"workers": 1},
            {"held_until": Now() + timedelta(minutes=5), "held_reason": "archiving: it fails"},
            "UTC, because the database is under strain. It continues by itself.",
        ),
        ({"workers": 1}, {}, "The run waits, because no worker answers."),
        ({}, {"working_since": Now() - timedelta(hours=1)}, "To continue it, select “Resume”."),
    ],
)
def test_why_a_run_waits_is_said_without_commands(
    staff: Client, options: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    create_things(1)
    run = annotate(**options)
    lifecycle.start(run)
    Run.objects.filter(pk=run.pk).update(**changes)
    staff_words = show(staff, run).split("For operators")[0]
    assert words in staff_words
    assert "manage.py" not in staff_words


def fail_cards(count: int, error: str) -> tuple[Run, list[Card]]:
    """Return a run in which these cards failed."""
    cards = Card.objects.bulk_create(
        Card(card_id=f"card-{n}", title="T", pack_id="p", rarity="common") for n in range(count)
    )
    Card.objects.update(rarity_v2=None)
    run = create_run(registry.get_operation("backfill_rarity_v2"))
    lifecycle.cancel(run)
    Failure.objects.bulk_create(Failure(run=run, object_id=str(card.pk), error=error) for card in cards)
    return run, cards


def test_failed_rows_link_to_their_pages_with_the_reason_in_words(staff: Client) -> None:
    run, (card, deleted) = fail_cards(2, "value too long for type character varying(5)\nCONTEXT: x")
    Card.objects.filter(pk=deleted.pk).delete()
    reason = "A new value has more than the 5 characters that its field allows."
    assert f"Cards that failed card-0 {reason} {deleted.pk} {reason}" in show(staff, run)
    html = staff.get(f"/admin/ops/run/{run.pk}/live/").content.decode()
    assert f'href="/admin/cards/card/{card.pk}/change/">card-0</a>' in html
    assert f"/admin/cards/card/{deleted.pk}/" not in html
    assert staff.get(f"/admin/cards/card/{card.pk}/change/").status_code == 200


def test_all_failed_rows_are_listed_page_by_page(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_FIRST_FAILURES", 1)
    monkeypatch.setattr(runs, "_FAILURES_PER_PAGE", 2)
    run, cards = fail_cards(3, "value too long for type character varying(5)\nCONTEXT: x")
    assert "Show all 3 cards" in show(staff, run)
    first = staff.get(f"/admin/ops/run/{run.pk}/failures/")
    assert f"3 cards failed in run {run.pk} , Backfill rarity v2." in page_text(first)
    assert "CONTEXT: x" in page_text(first)
    second = staff.get(first.context["next_url"])
    assert second.context["next_url"] == ""
    names = [row.name for page in (first, second) for row in page.context["failures"].rows]
    assert sorted(names) == [card.card_id for card in cards]
    assert "There are no more." in page_text(staff.get(f"/admin/ops/run/{run.pk}/failures/?after=%00z"))


def test_failed_rows_are_no_links_for_those_who_may_not_view_them(client: Client) -> None:
    run, (card,) = fail_cards(1, "no")
    user = User.objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(user)
    html = client.get(f"/admin/ops/run/{run.pk}/failures/").content.decode()
    assert "card-0" in html
    assert f"/admin/cards/card/{card.pk}/" not in html
