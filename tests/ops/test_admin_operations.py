"""Operations as bulk actions: which rows are chosen, what the page that confirms says, what is started."""

import re
from datetime import timedelta

import pytest
from django import forms
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from redis import Redis

from cards.models import Card, PresentationRule
from ops.admin import pagination, selection
from ops.admin.operations import get_model_operations
from ops.models import Run
from ops.operations import registry
from ops.queue.liveness import NO_WORKER_WARNING
from tests.ops.conftest import RegisterOperation
from tests.ops.running import create_run, make_operation

pytestmark = pytest.mark.django_db(transaction=True)

BACKFILL, PROMOTE = (f"/admin/cards/card/operate/{name}/" for name in ("backfill_rarity_v2", "bulk_promote"))


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def cards() -> dict[str, str]:
    """Key by card id: ten of them, half in each pack, none with rarity_v2."""
    rarities = ("common", "rare")
    for order, rarity in enumerate(rarities):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    made = [
        Card(card_id=f"card-{n}", title=f"T{n}", pack_id=f"pack-{n % 2}", rarity=rarities[n % 5 == 0])
        for n in range(10)
    ]
    Card.objects.bulk_create(made)
    Card.objects.update(rarity_v2=None)
    return {card.card_id: str(card.pk) for card in made}


def posted(staff: Client, *ticked: str, listed: str = "", action: str = "backfill_rarity_v2") -> str:
    """The address that the list sends to, with rows ticked, or all of them across its pages."""
    data = {"action": action, "_selected_action": ticked or ["1"], "select_across": "0" if ticked else "1"}
    answer = staff.post(f"/admin/cards/card/?{listed}", data)
    assert answer.status_code == 302
    return answer.headers["Location"]


def text(page: object) -> str:
    """What is to be read on the page, icons left out."""
    content = page.content.decode()  # type: ignore[attr-defined]
    content = re.sub(r'<span class="material-symbols[^>]*>[^<]*</span>', " ", content)
    return " ".join(re.sub(r"<[^>]+>", " ", content).split())


def test_ticked_rows_are_what_the_run_may_change(staff: Client, cards: dict[str, str]) -> None:
    page = posted(staff, cards["card-1"], cards["card-2"])
    told = text(staff.get(page))
    assert "Rows: 2 cards, ticked in the list." in told
    assert "2 cards would change." in told
    staff.post(page)
    run = Run.objects.get()
    assert set(run.keys.values_list("object_id", flat=True)) == {cards["card-1"], cards["card-2"]}
    assert (run.total, run.performed_by, run.workers) == (2, "ada", 1)


@pytest.mark.parametrize(
    ("listed", "scope", "total"),
    [
        ("", {"filter": {}, "keys": False}, 10),
        ("pack_id__exact=pack-1", {"filter": {"pack_id": "pack-1"}, "keys": False}, 5),
        (
            "rarity__exact=common&pack_id__exact=pack-0",
            {"filter": {"rarity": "common", "pack_id": "pack-0"}, "keys": False},
            4,
        ),
        ("rarity_v2__isnull=True", {"filter": {"rarity_v2": None}, "keys": False}, 10),
        ("rarity_v2__isnull=False", {"filter": {}, "keys": True}, 0),
        ("q=card-1", {"filter": {}, "keys": True}, 1),
        ("q=card-&pack_id__exact=pack-1", {"filter": {}, "keys": True}, 5),
    ],
)
def test_what_filters_and_search_match_is_what_the_run_may_change(
    staff: Client, cards: dict[str, str], listed: str, scope: object, total: int
) -> None:
    staff.post(posted(staff, listed=listed))
    run = Run.objects.get()
    assert (run.scope, run.total) == (scope, total)


def test_a_search_with_more_matches_than_are_looked_up_is_stored_by_the_database(
    staff: Client, cards: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 3)
    page = posted(staff, listed="q=card-&pack_id__exact=pack-1")
    assert "5 cards would change." in text(staff.get(page))
    staff.post(page)
    wanted = {cards[f"card-{n}"] for n in range(1, 10, 2)}
    assert set(Run.objects.get().keys.values_list("object_id", flat=True)) == wanted


def test_a_search_that_matches_more_than_can_be_stored_is_refused_in_words(
    staff: Client, cards: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 3)
    monkeypatch.setattr(selection, "MAX_SELECTED_KEYS", 2)
    page = staff.post(posted(staff, listed="q=card-"), follow=True)
    assert re.search(r"about \d+ cards match\. A search may select 2 at most", text(page))
    assert not Run.objects.exists()


@pytest.mark.parametrize("address", [f"{BACKFILL}", f"{BACKFILL}?across=1&_changelist_filters=no__such%3D1"])
def test_an_address_that_chooses_no_rows_is_refused(staff: Client, address: str) -> None:
    assert staff.get(address).status_code == 400
    assert staff.post(address).status_code == 400
    assert not Run.objects.exists()


def test_the_page_tells_what_would_change_and_changes_nothing(staff: Client, cards: dict[str, str]) -> None:
    page = text(staff.get(f"{PROMOTE}?across=1&with-from_rarity=common&with-to_rarity=rare"))
    assert "Promote every card of one rarity to another. Rows: all cards." in page
    assert (
        "8 cards would change. Estimated duration: less than a second, assuming 10,000 rows/s. Start the run"
        in page
    )
    assert "By pack_id pack-0 4 pack-1 4" in page
    assert "card-1 common → rare NULL → rare" in page
    assert not Run.objects.exists()


def test_the_form_asks_before_there_is_anything_to_preview(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(f"{PROMOTE}?across=1")
    assert "This field is required" not in text(page)
    assert "Start the run" not in text(page)
    assert '<option value="common">common</option>' in page.content.decode()


def test_what_the_operation_refuses_is_told_and_not_started(staff: Client, cards: dict[str, str]) -> None:
    address = f"{PROMOTE}?across=1&with-from_rarity=rare&with-to_rarity=common"
    for page in (staff.get(address), staff.post(address)):
        assert "rare to common is a demotion, which must be allowed." in text(page)
        assert "Start the run" not in text(page)
    assert not Run.objects.exists()


def test_what_was_answered_is_what_is_started(staff: Client, cards: dict[str, str]) -> None:
    query = "with-from_rarity=rare&with-to_rarity=common&with-allow_demotion=on&how-workers=3&how-max_rate=70"
    answer = staff.post(f"{PROMOTE}?across=1&{query}")
    run = Run.objects.get()
    assert answer.headers["Location"] == f"/admin/ops/run/{run.pk}/change/"
    assert run.params == {"from_rarity": "rare", "to_rarity": "common", "allow_demotion": True}
    assert (run.workers, run.max_rate, run.lanes.count()) == (3, 70, 3)


def sent(page: object, **changed: str) -> dict[str, str]:
    """What a browser sends of the page's form, with some of its fields changed: ``with_to_rarity="epic"``."""
    context = page.context  # type: ignore[attr-defined]
    fields = {
        b.html_name: b.value() for form in (context["form"], context["execution_form"]) if form for b in form
    }
    shown = {name: "on" if value is True else str(value or "") for name, value in fields.items()}
    empty = [name for name, value in fields.items() if value is False]
    told = shown | {name.replace("_", "-", 1): value for name, value in changed.items()}
    return {"answered": "1"} | {name: value for name, value in told.items() if value or name not in empty}


COMMON_TO_RARE = f"{PROMOTE}?across=1&with-from_rarity=common&with-to_rarity=rare"


def test_the_form_as_it_was_previewed_is_what_starts(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(COMMON_TO_RARE)
    staff.post(COMMON_TO_RARE, sent(page))
    assert Run.objects.get().params == {"from_rarity": "common", "to_rarity": "rare"}


@pytest.mark.parametrize(
    "changed",
    [
        {"with_to_rarity": "epic"},
        {"with_from_rarity": "rare", "with_to_rarity": "common", "with_allow_demotion": "on"},
        {"with_allow_demotion": "on"},
        {"with_to_rarity": ""},
        {"how_workers": "2"},
        {"how_max_rate": "5"},
    ],
)
def test_a_form_changed_after_its_preview_starts_nothing(
    staff: Client, cards: dict[str, str], changed: dict[str, str]
) -> None:
    PresentationRule.objects.create(rarity="epic", frame_color="#CCCCCC", sort_order=9)
    answer = staff.post(COMMON_TO_RARE, sent(staff.get(COMMON_TO_RARE), **changed))
    assert not Run.objects.exists()
    page = staff.get(answer.headers["Location"])
    assert "Nothing was started: the form changed after the preview." in text(page)
    shown = sent(page)
    assert {name: shown[name.replace("_", "-", 1)] for name in changed} == changed


def test_what_is_previewed_anew_can_then_be_started(staff: Client, cards: dict[str, str]) -> None:
    PresentationRule.objects.create(rarity="epic", frame_color="#CCCCCC", sort_order=9)
    answer = staff.post(COMMON_TO_RARE, sent(staff.get(COMMON_TO_RARE), with_to_rarity="epic"))
    page = staff.get(answer.headers["Location"])
    assert "common → epic" in text(page)
    staff.post(answer.headers["Location"], sent(page))
    assert Run.objects.get().params == {"from_rarity": "common", "to_rarity": "epic"}


def test_preview_leads_to_the_address_of_what_was_answered(staff: Client, cards: dict[str, str]) -> None:
    asking = posted(staff, cards["card-1"], listed="q=card&p=1", action="bulk_promote")
    answers = sent(staff.get(asking), with_from_rarity="common", with_to_rarity="rare", preview="")
    page = staff.get(staff.post(asking, answers).headers["Location"])
    assert "Rows: 1 card, ticked in the list." in text(page)
    assert "1 card would change." in text(page)
    assert "Nothing was started" not in text(page)
    assert 'href="/admin/cards/card/?q=card&amp;p=1"' in page.content.decode()


def test_a_form_of_a_single_box_is_answered_without_a_tick(staff: Client, declare: RegisterOperation) -> None:
    class Asks(forms.Form):
        sure = forms.BooleanField(required=False)

    Card.objects.create(card_id="a", title="A", pack_id="p")
    declare(make_operation(Card.objects.filter(title="A"), {"title": "B"}, name="ask_a_box", Params=Asks))
    asking = "/admin/cards/card/operate/ask_a_box/?across=1"
    assert "would change" not in text(staff.get(asking))
    page = staff.get(staff.post(asking, sent(staff.get(asking), preview="")).headers["Location"])
    assert "1 card would change." in text(page)


def test_a_run_that_no_worker_hears_of_is_started_with_a_warning(
    staff: Client, cards: dict[str, str]
) -> None:
    page = staff.post(f"{BACKFILL}?across=1", follow=True)
    assert NO_WORKER_WARNING in text(page)
    assert Run.objects.get().state == "queued"


def test_a_column_that_another_run_writes_is_told_and_nothing_starts(
    staff: Client, cards: dict[str, str]
) -> None:
    run = create_run(registry.get_operation("backfill_rarity_v2"))
    page = staff.post(f"{BACKFILL}?across=1")
    assert page.status_code == 409
    assert f"cards.card.rarity_v2 is being written by run {run.pk}" in text(page)
    assert Run.objects.count() == 1


def test_a_new_operation_is_an_action_of_its_model_with_no_further_code(
    staff: Client, declare: RegisterOperation
) -> None:
    declared = declare(
        make_operation(Card.objects.filter(title=""), {"title": "?"}, name="name_the_nameless")
    )
    assert declared in get_model_operations(Card)
    choices = staff.get("/admin/cards/card/").context["action_form"].fields["action"].choices
    assert ("name_the_nameless", "Name the nameless") in choices
    assert "No card needs the change." in text(
        staff.get("/admin/cards/card/operate/name_the_nameless/?across=1")
    )


@pytest.mark.parametrize("name", ["revert", "trials_score", "no_such"])
def test_an_operation_of_another_model_is_no_page_of_this_list(staff: Client, name: str) -> None:
    assert staff.get(f"/admin/cards/card/operate/{name}/?across=1").status_code == 404


def test_the_way_back_leads_to_the_list_as_it_was(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(posted(staff, listed="q=card-1&p=1")).content.decode()
    assert QueryDict("q=card-1&p=1").urlencode().replace("&", "&amp;") in page


def test_where_a_backup_is_demanded_it_can_be_gone_without_and_is_told(
    staff: Client, cards: dict[str, str], settings: LazySettings
) -> None:
    assert "Without backup" not in text(staff.get(f"{BACKFILL}?across=1"))
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=1)
    refused = staff.post(f"{BACKFILL}?across=1")
    assert "A verified backup not older than" in text(refused)
    assert "Without backup" in text(refused)
    staff.post(f"{BACKFILL}?across=1&how-without_backup=on")
    assert Run.objects.get().without_backup
