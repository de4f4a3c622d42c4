"""Operations as bulk actions: the selected rows, the confirmation page, the run that starts."""

from datetime import timedelta

import pytest
from django import forms
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from cards.models import Card, PresentationRule
from ops.admin.lists import pagination, selection
from ops.admin.starting.operations import get_model_operations
from ops.exceptions import OpsError
from ops.models import Run
from ops.operations import registry
from tests.admin_pages import confirmation_data, get_with_preview, page_text, post_action
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


def test_ticked_rows_are_the_scope_of_the_run(staff: Client, cards: dict[str, str]) -> None:
    url = post_action(staff, cards["card-1"], cards["card-2"])
    text = page_text(get_with_preview(staff, url))
    assert "Rows: 2 cards, ticked in the list." in text
    assert "2 cards would change." in text
    staff.post(url)
    run = Run.objects.get()
    assert set(run.keys.values_list("object_id", flat=True)) == {cards["card-1"], cards["card-2"]}
    assert (run.total, run.performed_by, run.workers) == (2, "ada", 1)


@pytest.mark.parametrize(
    ("query", "scope", "total"),
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
def test_filters_and_search_are_the_scope_of_the_run(
    staff: Client, cards: dict[str, str], query: str, scope: object, total: int
) -> None:
    staff.post(post_action(staff, query=query))
    run = Run.objects.get()
    assert (run.scope, run.total) == (scope, total)


def test_a_search_with_more_matches_than_counted_is_stored_in_full(
    staff: Client, cards: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 3)
    url = post_action(staff, query="q=card-&pack_id__exact=pack-1")
    assert "5 cards would change." in page_text(get_with_preview(staff, url))
    staff.post(url)
    expected = {cards[f"card-{n}"] for n in range(1, 10, 2)}
    assert set(Run.objects.get().keys.values_list("object_id", flat=True)) == expected


def test_a_search_with_too_many_matches_is_refused(
    staff: Client, cards: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 3)
    monkeypatch.setattr(selection, "MAX_SELECTED_KEYS", 2)
    page = staff.post(post_action(staff, query="q=card-"), follow=True)
    assert "More than 2 cards match. A run filters only by column = value" in page_text(page)
    assert not Run.objects.exists()


@pytest.mark.parametrize("url", [f"{BACKFILL}", f"{BACKFILL}?across=1&_changelist_filters=no__such%3D1"])
def test_a_url_that_selects_no_rows_is_refused(staff: Client, url: str) -> None:
    assert staff.get(url).status_code == 400
    assert staff.post(url).status_code == 400
    assert not Run.objects.exists()


def test_the_page_previews_the_changes_and_makes_none(staff: Client, cards: dict[str, str]) -> None:
    page = page_text(
        get_with_preview(staff, f"{PROMOTE}?across=1&with-from_rarity=common&with-to_rarity=rare")
    )
    assert "Promote every card of one rarity to another. Rows: all cards." in page
    assert (
        "8 cards would change. Estimated duration: less than a second, assuming 10,000 rows/s. Start the run"
        in page
    )
    assert "By pack id pack-0 4 pack-1 4" in page
    assert "card-1 common → rare empty → rare" in page
    assert not Run.objects.exists()


def test_the_page_asks_for_its_preview_once_it_is_shown(staff: Client, cards: dict[str, str]) -> None:
    url = f"{PROMOTE}?across=1&with-from_rarity=common&with-to_rarity=rare"
    with CaptureQueriesContext(connection) as queries:
        page = staff.get(url)
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    part = staff.get(f"{PROMOTE}{page.context['preview_url']}")
    assert page_text(part).startswith("8 cards would change.")
    assert "Start the run" in page_text(part)


@pytest.mark.parametrize("part", ["preview", "page"])
def test_a_preview_that_is_refused_says_why(staff: Client, declare: RegisterOperation, part: str) -> None:
    def refuse(self: object) -> None:
        raise OpsError("The shop is closed.")

    rows = Card.objects.filter(title="")
    declare(make_operation(rows, {"title": "?"}, name="shop", check_preconditions=refuse))
    page = staff.get(f"/admin/cards/card/operate/shop/?across=1&part={part}")
    assert page.status_code == 409
    assert "The shop is closed." in page_text(page)
    assert "Start the run" not in page_text(page)


def test_an_empty_form_has_no_errors_and_no_preview(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(f"{PROMOTE}?across=1")
    assert "This field is required" not in page_text(page)
    assert "Start the run" not in page_text(page)
    assert '<option value="common">common</option>' in page.content.decode()


@pytest.mark.parametrize("keys", [[], ["card-1", "card-2"]])
def test_the_form_begins_with_the_filter_of_the_list(
    staff: Client, cards: dict[str, str], keys: list[str]
) -> None:
    query = "rarity__exact=common&pack_id__exact=pack-1"
    url = post_action(staff, *(cards[key] for key in keys), query=query, action="bulk_promote")
    page = staff.get(url)
    assert page.context["form"].initial == {"from_rarity": "common"}
    assert '<option value="common" selected>common</option>' in page.content.decode()
    assert "This field is required" not in page_text(page)
    assert "Start the run" not in page_text(page)


@pytest.mark.parametrize("query", ["", "rarity_v2__isnull=True", "pack_id__exact=pack-1", "q=common"])
def test_other_conditions_of_the_list_fill_in_nothing(
    staff: Client, cards: dict[str, str], query: str
) -> None:
    page = staff.get(post_action(staff, query=query, action="bulk_promote"))
    assert page.context["form"].initial == {}


def test_a_param_is_filled_in_by_the_filter_of_its_own_name(
    staff: Client, cards: dict[str, str], declare: RegisterOperation
) -> None:
    class PackForm(forms.Form):
        pack_id = forms.CharField()
        title = forms.CharField(required=False)

    rows = Card.objects.exclude(title="?")
    declare(make_operation(rows, {"title": "?"}, name="retitle", Params=PackForm, example={"pack_id": "p"}))
    page = staff.get(post_action(staff, query="pack_id__exact=pack-1", action="retitle"))
    assert page.context["form"].initial == {"pack_id": "pack-1"}


def test_the_estimate_goes_by_the_maximum_rate_of_the_run(staff: Client, cards: dict[str, str]) -> None:
    slow, fast = (
        page_text(get_with_preview(staff, f"{BACKFILL}?across=1&how-max_rate={rate}")) for rate in (1, 20_000)
    )
    assert "Estimated duration: about 10 s, at the maximum rate (1 rows/s)." in slow
    assert "Estimated duration: less than a second, assuming 10,000 rows/s." in fast


def test_params_that_the_operation_refuses_start_no_run(staff: Client, cards: dict[str, str]) -> None:
    url = f"{PROMOTE}?across=1&with-from_rarity=rare&with-to_rarity=common"
    for page in (staff.get(url), staff.post(url)):
        assert "this is a demotion (rare to common). To allow it, set this option." in page_text(page)
        assert "Start the run" not in page_text(page)
    assert not Run.objects.exists()


def test_the_run_has_the_submitted_params_and_options(staff: Client, cards: dict[str, str]) -> None:
    params = (
        "with-from_rarity=rare&with-to_rarity=common&with-allow_demotion=on&how-workers=3&how-max_rate=70"
    )
    response = staff.post(f"{PROMOTE}?across=1&{params}")
    run = Run.objects.get()
    assert response.headers["Location"] == f"/admin/ops/run/{run.pk}/change/"
    assert run.params == {"from_rarity": "rare", "to_rarity": "common", "allow_demotion": True}
    assert (run.workers, run.max_rate, run.lanes.count()) == (3, 70, 3)


COMMON_TO_RARE = f"{PROMOTE}?across=1&with-from_rarity=common&with-to_rarity=rare"


def test_the_previewed_form_starts_a_run(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(COMMON_TO_RARE)
    staff.post(COMMON_TO_RARE, confirmation_data(page))
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
    response = staff.post(COMMON_TO_RARE, confirmation_data(staff.get(COMMON_TO_RARE), **changed))
    assert not Run.objects.exists()
    page = staff.get(response.headers["Location"])
    assert "Nothing was started: the form changed after the preview." in page_text(page)
    posted = confirmation_data(page)
    assert {name: posted[name.replace("_", "-", 1)] for name in changed} == changed


def test_a_changed_form_can_be_started_after_a_new_preview(staff: Client, cards: dict[str, str]) -> None:
    PresentationRule.objects.create(rarity="epic", frame_color="#CCCCCC", sort_order=9)
    response = staff.post(COMMON_TO_RARE, confirmation_data(staff.get(COMMON_TO_RARE), with_to_rarity="epic"))
    page = get_with_preview(staff, response.headers["Location"])
    assert "common → epic" in page_text(page)
    staff.post(response.headers["Location"], confirmation_data(page))
    assert Run.objects.get().params == {"from_rarity": "common", "to_rarity": "epic"}


def test_preview_redirects_to_the_url_of_the_submitted_form(staff: Client, cards: dict[str, str]) -> None:
    url = post_action(staff, cards["card-1"], query="q=card&p=1", action="bulk_promote")
    data = confirmation_data(staff.get(url), with_from_rarity="common", with_to_rarity="rare", preview="")
    page = get_with_preview(staff, staff.post(url, data).headers["Location"])
    assert "Rows: 1 card, ticked in the list." in page_text(page)
    assert "1 card would change." in page_text(page)
    assert "Nothing was started" not in page_text(page)
    assert 'href="/admin/cards/card/?q=card&amp;p=1"' in page.content.decode()


def test_a_form_of_one_checkbox_is_submitted_without_a_tick(
    staff: Client, declare: RegisterOperation
) -> None:
    class SureForm(forms.Form):
        sure = forms.BooleanField(required=False)

    Card.objects.create(card_id="a", title="A", pack_id="p")
    declare(make_operation(Card.objects.filter(title="A"), {"title": "B"}, name="ask_a_box", Params=SureForm))
    url = "/admin/cards/card/operate/ask_a_box/?across=1"
    assert "would change" not in page_text(staff.get(url))
    previewed = staff.post(url, confirmation_data(staff.get(url), preview="")).headers["Location"]
    page = get_with_preview(staff, previewed)
    assert "1 card would change." in page_text(page)


def test_starting_a_run_without_workers_shows_a_warning(staff: Client, cards: dict[str, str]) -> None:
    page = staff.post(f"{BACKFILL}?across=1", follow=True)
    assert "The run waits, because no worker answers." in page_text(page)
    assert Run.objects.get().state == "queued"


def test_no_run_starts_on_a_column_claimed_by_another_run(staff: Client, cards: dict[str, str]) -> None:
    run = create_run(registry.get_operation("backfill_rarity_v2"))
    page = staff.post(f"{BACKFILL}?across=1")
    assert page.status_code == 409
    assert f"Run {run.pk} (Backfill rarity v2) writes the same field and has not ended." in page_text(page)
    assert f'href="/admin/ops/run/{run.pk}/change/"' in page.content.decode()
    assert "manage.py" not in page_text(page).split("For operators")[0]
    assert Run.objects.count() == 1


def test_a_registered_operation_becomes_an_action_of_its_model(
    staff: Client, declare: RegisterOperation
) -> None:
    declared = declare(
        make_operation(Card.objects.filter(title=""), {"title": "?"}, name="name_the_nameless")
    )
    assert declared in get_model_operations(Card)
    choices = staff.get("/admin/cards/card/").context["action_form"].fields["action"].choices
    assert ("name_the_nameless", "Name the nameless") in choices
    assert "No card needs the change." in page_text(
        get_with_preview(staff, "/admin/cards/card/operate/name_the_nameless/?across=1")
    )


@pytest.mark.parametrize("name", ["revert", "trials_score", "no_such"])
def test_an_operation_of_another_model_is_not_found(staff: Client, name: str) -> None:
    assert staff.get(f"/admin/cards/card/operate/{name}/?across=1").status_code == 404


def test_the_back_link_keeps_the_query_of_the_list(staff: Client, cards: dict[str, str]) -> None:
    page = staff.get(post_action(staff, query="q=card-1&p=1")).content.decode()
    assert QueryDict("q=card-1&p=1").urlencode().replace("&", "&amp;") in page


def test_a_required_backup_can_be_skipped_and_that_is_recorded(
    staff: Client, cards: dict[str, str], settings: LazySettings
) -> None:
    assert "Without backup" not in page_text(staff.get(f"{BACKFILL}?across=1"))
    settings.OPS_BACKUP_MAX_AGE = timedelta(hours=1)
    refused = staff.post(f"{BACKFILL}?across=1")
    staff_words, operator_words = page_text(refused).split("For operators")
    assert "A verified backup not older than" in staff_words
    assert ("manage.py" in staff_words, "manage.py" in operator_words) == (False, True)
    assert "Without backup" in page_text(refused)
    staff.post(f"{BACKFILL}?across=1&how-without_backup=on")
    assert Run.objects.get().without_backup
