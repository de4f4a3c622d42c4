"""Runs that wait for a second person, in the admin."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from redis import Redis

from cards.models import Card, PresentationRule
from kyndo.roles import create_groups
from ops.models import Approval, Claim, Origin, Run
from ops.operations import registry
from ops.queue.liveness import connect_queue
from ops.runs import lifecycle
from tests.admin_pages import confirmation_data, get_with_preview, page_text, post_action
from tests.ops.change_setting import stage
from tests.ops.running import create_run, execute_run, run_jobs

pytestmark = pytest.mark.django_db(transaction=True)

PARAMS = "&with-from_rarity=common&with-to_rarity=rare"
PROMOTE = f"/admin/cards/card/operate/bulk_promote/?across=1{PARAMS}"


@pytest.fixture(autouse=True)
def _cards(settings: LazySettings, redis_server: Redis) -> None:
    settings.OPS_APPROVAL_ROWS = 3
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    Card.objects.bulk_create(Card(card_id=f"card-{n}", title=f"T{n}", pack_id="p") for n in range(5))


def sign_in(name: str, *groups: str, is_superuser: bool = False) -> Client:
    create_groups("default")
    user = User.objects.create_user(name, is_staff=True, is_superuser=is_superuser)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ada() -> Client:
    return sign_in("ada", "operators")


@pytest.fixture
def bob() -> Client:
    return sign_in("bob", "approvers")


def ask(client: Client, comment: str = "") -> Run:
    client.post(PROMOTE, {"comment": comment})
    return Run.objects.latest("pk")


def run_url(run: Run, page: str = "change") -> str:
    return f"/admin/ops/run/{run.pk}/{page}/"


def test_the_page_says_before_the_start_that_it_will_wait(ada: Client, bob: Client) -> None:
    text = page_text(get_with_preview(ada, PROMOTE))
    assert (
        "A second person has to approve this, because 5 cards are more than the 3 that one person may change"
        " alone. Those who may: bob." in text
    )
    assert "Ask for approval" in text
    assert "Start the run" not in text
    few = page_text(get_with_preview(ada, post_action(ada, str(Card.objects.latest("pk").pk))))
    assert "second person" not in few


def test_a_set_of_changes_waits_as_any_run_and_needs_no_operator(bob: Client) -> None:
    ed = sign_in("ed", "editors")
    cards = list(Card.objects.order_by("pk")[:4])
    change_set = stage(
        Card, *((card, "title", card.title, "new") for card in cards), by=User.objects.get(username="ed")
    )
    url = f"/admin/cards/card/changeset/{change_set.pk}/"
    page = page_text(ed.get(url))
    assert "A second person has to approve this, because 4 cards are more than the 3" in page
    assert "Ask for approval" in page
    ed.post(f"{url}start/", {"comment": "New names."})
    run = Run.objects.get()
    assert Approval.objects.get().comment == "New names."
    assert run.state == "awaiting_approval"
    Card.objects.filter(pk=cards[0].pk).update(title="theirs")
    preview = page_text(bob.get(run_url(run, "preview")))
    assert "3 cards would change." in preview
    assert "T1 → new" in preview
    bob.post(run_url(run, "approve"))
    run_jobs(connect_queue())
    assert [*Card.objects.order_by("pk").values_list("title", flat=True)] == ["theirs", *["new"] * 3, "T4"]
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert "Run" in page_text(ed.get(run_url(run)))


def test_the_page_says_if_nobody_could_approve_it(ada: Client) -> None:
    text = page_text(get_with_preview(ada, PROMOTE))
    assert "Nobody else on this site may do it yet: an administrator can add somebody to the group" in text


def test_the_rows_of_a_day_are_told_where_they_are_the_reason(ada: Client, bob: Client) -> None:
    keys = [str(pk) for pk in Card.objects.values_list("pk", flat=True)]
    first = (
        post_action(ada, *keys[:3], action="bulk_promote") + "&with-from_rarity=common&with-to_rarity=rare"
    )
    ada.post(first)
    run_jobs(connect_queue())
    text = page_text(get_with_preview(ada, PROMOTE))
    assert (
        "because 2 cards and the 3 rows of this person's other runs within 24 hours are more than the 3 that"
        " one person may change alone" in text.replace("&#x27;", "'")
    )
    assert ask(ada).state == "awaiting_approval"


def test_asked_and_approved_the_run_goes_to_its_end(ada: Client, bob: Client) -> None:
    page = get_with_preview(ada, PROMOTE)
    ada.post(PROMOTE, {**confirmation_data(page), "comment": "Season <4>"})
    run = Run.objects.get()
    assert (run.state, Claim.objects.count(), len(connect_queue())) == ("awaiting_approval", 0, 0)

    text = page_text(bob.get(run_url(run)))
    assert "ada asked for this today" in text
    assert "because 5 cards are more than the 3 that one person may change alone" in text
    assert "Season &lt;4&gt;" in text
    assert "Approve" in text
    preview = page_text(bob.get(run_url(run, "preview")))
    assert "5 cards would change." in preview
    assert "card-0 common → rare" in preview
    assert "Starts by itself: Render thumbnails, for those of these 5 cards that need it." in preview
    assert "Start the run" not in preview

    done = bob.post(run_url(run, "approve"), {"comment": "Go."}, follow=True)
    assert f"Run {run.pk} was approved." in page_text(done)
    run_jobs(connect_queue())
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert set(Card.objects.values_list("rarity", flat=True)) == {"rare"}
    text = page_text(ada.get(run_url(run)))
    assert "Comment Season &lt;4&gt; Second person approved by bob: Go. (today" in text


def test_whoever_asked_may_cancel_but_not_decide(ada: Client, bob: Client) -> None:
    boss = sign_in("boss", is_superuser=True)
    run = ask(boss)
    text = page_text(boss.get(run_url(run)))
    assert f"You asked for run {run.pk} yourself. Somebody else has to decide. Those who may: bob." in text
    assert "Approve" not in text
    refused = boss.post(run_url(run, "approve"))
    assert (refused.status_code, Run.objects.get().state) == (409, "awaiting_approval")
    assert "yourself" in page_text(refused)
    boss.post(run_url(run, "cancel"))
    assert Run.objects.get().state == "cancelled"


def test_whoever_asked_may_cancel_without_the_permission_to(ada: Client, bob: Client) -> None:
    run = ask(ada)
    operators = Group.objects.get(name="operators")
    operators.permissions.remove(operators.permissions.get(codename="cancel_run"))
    assert bob.post(run_url(run, "cancel")).status_code == 403
    ada.post(run_url(run, "cancel"))
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert ada.post(run_url(run, "cancel")).status_code == 403


def test_a_declined_run_says_why_and_can_be_asked_for_again(ada: Client, bob: Client) -> None:
    url = post_action(ada, *map(str, Card.objects.values_list("pk", flat=True)[:4]))
    Card.objects.update(rarity_v2=None)
    ada.post(url)
    run = Run.objects.get()
    done = bob.post(run_url(run, "decline"), {"comment": "Not before Monday."}, follow=True)
    assert "It never started: declined by bob: Not before Monday." in page_text(done)
    assert "Repeat" not in page_text(done)
    assert "Repeat" in page_text(ada.get(run_url(run)))
    page = get_with_preview(ada, run_url(run, "repeat"))
    assert "4 cards would change." in page_text(page)
    ada.post(run_url(run, "repeat"), confirmation_data(page))
    again = Run.objects.latest("pk")
    assert (again.state, again.total, again.keys.count()) == ("awaiting_approval", 4, 4)


def test_a_refusal_keeps_what_was_typed(ada: Client, bob: Client) -> None:
    run = ask(ada)
    create_run(registry.get_operation("bulk_promote"), params=run.params)
    refused = bob.post(run_url(run, "approve"), {"comment": "After the event."})
    assert refused.status_code == 409
    assert "writes the same field and has not ended" in page_text(refused)
    assert "After the event.</textarea>" in refused.content.decode()
    assert Approval.objects.get().decision == ""


def test_a_refusal_of_the_start_keeps_what_was_typed(ada: Client, settings: LazySettings) -> None:
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=1)
    refused = ada.post(PROMOTE, {**confirmation_data(ada.get(PROMOTE)), "comment": "For Friday."})
    assert refused.status_code == 409
    assert 'name="comment" value="For Friday."' in refused.content.decode()
    data = {**confirmation_data(refused), "comment": "For Friday.", "preview": ""}
    page = get_with_preview(ada, ada.post(PROMOTE, data).headers["Location"])
    assert re.search(r"<textarea[^>]*>\s*For Friday.</textarea>", page.content.decode())


def test_who_comes_second_is_told_who_decided(ada: Client, bob: Client) -> None:
    eve, run = sign_in("eve", "approvers"), ask(ada)
    bob.post(run_url(run, "decline"))
    late = eve.post(run_url(run, "approve"), {"comment": "Fine."}, follow=True)
    text = page_text(late)
    assert f"Run {run.pk} was declined by bob. What you wrote is not stored: “Fine.”" in text
    assert len(connect_queue()) == 0


def test_a_run_that_grew_is_sent_back_and_its_preview_said_so(ada: Client, bob: Client) -> None:
    Card.objects.filter(card_id="card-4").update(rarity="rare")
    run = ask(ada)
    Card.objects.filter(card_id="card-4").update(rarity="common")
    preview = page_text(bob.get(run_url(run, "preview")))
    assert "5 cards would change." in preview
    assert "4 when it was asked for." in preview
    assert "Approving it now sends it back." in preview
    done = page_text(bob.post(run_url(run, "approve"), follow=True))
    assert f"Run {run.pk} was sent back. It would change 5 rows now, and 4 when it was asked for." in done
    assert "It never started: sent back: It would change 5 rows now" in done


@pytest.mark.parametrize("page", ["change", "preview", "live"])
def test_a_run_expires_when_somebody_looks(ada: Client, bob: Client, page: str) -> None:
    run = ask(ada)
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = bob.get(run_url(run, page))
    run.refresh_from_db()
    assert (run.state, Approval.objects.get().decision) == ("cancelled", "expired")
    assert answer.status_code == (404 if page == "preview" else 200)


def test_the_page_of_what_waits_has_what_each_person_needs(ada: Client, bob: Client) -> None:
    empty = page_text(bob.get("/admin/approvals/"))
    assert "For you to decide Nothing waits for you." in empty
    run = ask(ada, "Season 4")
    mine = page_text(bob.get("/admin/approvals/"))
    assert f"For you to decide Bulk promote, run {run.pk} 5 cards ada asked today" in mine
    assert "Season 4" in mine
    asked = page_text(ada.get("/admin/approvals/"))
    assert "For you to decide" not in asked
    assert f"You asked for Bulk promote, run {run.pk} 5 cards" in asked
    other = page_text(sign_in("vic", "viewers").get("/admin/approvals/"))
    assert f"For others to decide Bulk promote, run {run.pk}" in other
    bob.post(run_url(run, "decline"), {"comment": "No."})
    decided = page_text(ada.get("/admin/approvals/"))
    assert "Decided in the last seven days" in decided
    assert "Declined by bob: No." in decided


def test_the_menu_and_the_dashboard_count_what_waits_for_me(ada: Client, bob: Client) -> None:
    assert badge(bob) is None
    ask(ada)
    assert (badge(bob), badge(ada)) == (1, None)
    assert "1 run waits for your approval." in page_text(bob.get("/admin/dashboard/running/"))
    panel = page_text(ada.get("/admin/dashboard/running/"))
    assert "1 run that you asked for waits for a second person." in panel
    assert "Nothing is under way." in panel


def badge(client: Client) -> Any:
    items = [item for part in client.get("/admin/").context["sidebar_navigation"] for item in part["items"]]
    [entry] = [item for item in items if item["title"] == "Waiting for approval"]
    return entry.get("badge")


def test_whoever_may_not_see_the_rows_sees_no_preview(ada: Client) -> None:
    run = ask(ada)
    eve = sign_in("eve")
    assert eve.get(run_url(run)).status_code == 403
    assert eve.get(run_url(run, "preview")).status_code == 403
    assert eve.post(run_url(run, "approve")).status_code == 403


def test_a_run_of_a_terminal_is_not_said_to_start_by_itself(bob: Client, settings: LazySettings) -> None:
    settings.OPS_APPROVAL_COMMANDS = True
    promote = registry.get_operation("bulk_promote")
    params = {"from_rarity": "common", "to_rarity": "rare"}
    run = create_run(promote, params=params, origin=Origin.COMMAND)
    assert "Approved, it can be started in a terminal" in page_text(bob.get(run_url(run)))
    text = page_text(bob.post(run_url(run, "approve"), follow=True))
    assert "The run was prepared in a terminal, and waits there for an operator to start it." in text
    assert len(connect_queue()) == 0


def test_a_get_decides_nothing(ada: Client, bob: Client) -> None:
    run = ask(ada)
    assert {bob.get(run_url(run, verb)).status_code for verb in ("approve", "decline")} == {405}
    assert Approval.objects.get().decision == ""


def test_a_run_that_needed_nobody_is_not_decided_on(bob: Client) -> None:
    run = execute_run(create_run(registry.get_operation("backfill_rarity_v2")))
    text = page_text(bob.post(run_url(run, "approve"), follow=True))
    assert f"Run {run.pk} does not wait for a second person." in text
    assert bob.get(run_url(run, "preview")).status_code == 404
    lifecycle.refresh_run(run)
    assert run.state == "succeeded"
