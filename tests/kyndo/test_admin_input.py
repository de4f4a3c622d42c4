"""The admin answers any URL and any form data without a server error."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from redis import Redis

from cards.models import Asset, Card, PresentationRule
from ops.models import Export, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

# Values that are invalid in every place.
INVALID = ("\0", "x", "9" * 30, "-1")
LISTS = ("cards/card", "cards/asset", "cards/presentationrule", "auth/user", "auth/group")
LISTS += ("ops/run", "ops/export", "ops/auditlog")
FILTERS = ("pack_id__exact", "rarity_v2__isnull", "asset_type__exact", "state__exact", "groups__id__exact")
FILTERS += ("is_staff__exact", "id__exact", "pk__in", "card__id__exact", "no_such", "\0")


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.raise_request_exception = False
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def rows() -> dict[str, int]:
    card = Card.objects.create(card_id="a", title="A", pack_id="p")
    rule = PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
    asset = Asset.objects.create(
        asset_key="k", asset_type="t", file_path="f", file_size=1, mime_type="a/b", card=card
    )
    group = Group.objects.create(name="g")
    return {
        "cards/card": card.pk,
        "cards/presentationrule": rule.pk,
        "cards/asset": asset.pk,
        "auth/group": group.pk,
        "auth/user": User.objects.create_user("eva", is_staff=True).pk,
    }


def find_server_errors(staff: Client, urls: Iterator[str]) -> list[str]:
    return [url for url in urls if staff.get(url, follow=True).status_code >= 500]


@pytest.mark.parametrize("model", ["cards/card", "cards/asset", "ops/run", "auth/user"])
def test_a_list_accepts_any_query_parameter(staff: Client, rows: dict[str, int], model: str) -> None:
    requests = [{name: value} for name in ("q", "o", "p") for value in INVALID]
    requests += [{name: "\0"} for name in ("e", "all", "_to_field", "_changelist_filters", *FILTERS)]
    requests += [dict.fromkeys(FILTERS, value) for value in INVALID]
    assert find_server_errors(staff, (f"/admin/{model}/?{urlencode(params)}" for params in requests)) == []


@pytest.mark.parametrize("model", LISTS)
def test_the_page_of_a_row_accepts_any_key(staff: Client, rows: dict[str, int], model: str) -> None:
    requests = [f"/admin/{model}/{quote(value)}/change/" for value in INVALID]
    requests += [f"/admin/{model}/%00/{page}" for page in ("delete/", "history/", "")]
    requests += [f"/admin/{model}/{rows.get(model, 1)}/{page}/?_to_field=" for page in ("change", "delete")]
    assert find_server_errors(staff, iter(requests)) == []


def test_an_action_accepts_any_selected_key(staff: Client, rows: dict[str, int]) -> None:
    for model, action in zip(LISTS, ("bulk_promote", "\0", *3 * ["delete_selected"]), strict=False):
        for value in INVALID:
            data = {"action": action, "_selected_action": value, "post": "yes", "index": value}
            assert staff.post(f"/admin/{model}/", data).status_code < 500, (model, data)
    assert Card.objects.exists()


def test_a_confirmation_page_accepts_any_params(staff: Client, rows: dict[str, int]) -> None:
    for page in ("operate/bulk_promote/", "export/"):
        for value in INVALID:
            inner = (
                urlencode({"pack_id__exact": value}),
                urlencode({"q": value}),
                urlencode({"p": value}),
                value,
            )
            requests = [
                {"key": value},
                {"across": value},
                *({"across": 1, "_changelist_filters": i} for i in inner),
            ]
            requests += [{"across": 1, "with-from_rarity": value, "with-to_rarity": "common"}]
            requests += [{"across": 1, "how-workers": value, "how-max_rate": value}]
            for params in requests:
                url = f"/admin/cards/card/{page}?{urlencode(params)}"
                assert staff.get(url).status_code < 500, url
                data = {"answered": value, "with-from_rarity": value, "format": value, "audit_logs": value}
                assert staff.post(url, data).status_code < 500, url
    assert not Run.objects.exists()
    assert not Export.objects.exists()


FILLED = {
    "cards/card": {"card_id": "b", "title": "T", "rarity": "common", "pack_id": "p", "metadata": "{}"},
    "cards/presentationrule": {"rarity": "r", "frame_color": "#CCCCCC", "sort_order": "2", "metadata": "{}"},
    "cards/asset": {
        "asset_key": "z",
        "asset_type": "t",
        "file_path": "f",
        "file_size": "1",
        "mime_type": "a/b",
        "metadata": "{}",
    },
    "auth/user": {"username": "u", "password1": "xkcd9873zz", "password2": "xkcd9873zz"},
    "auth/group": {"name": "n"},
}


@pytest.mark.parametrize("model", FILLED)
def test_a_form_accepts_any_value_in_every_field(staff: Client, rows: dict[str, int], model: str) -> None:
    for page in (f"/admin/{model}/add/", f"/admin/{model}/{rows[model]}/change/"):
        fields = [bound.html_name for bound in staff.get(page).context["adminform"].form]
        special = [name for name in fields if name in ("metadata", "tags", "card", "groups", "rarity")]
        data = [FILLED[model] | {name: "\0"} for name in special] + [
            dict.fromkeys(fields, value) for value in INVALID
        ]
        assert [each for each in data if staff.post(page, each).status_code >= 500] == []
        requests = (
            f"{page}?{urlencode(dict.fromkeys((*fields, '_to_field'), value))}" for value in INVALID[:2]
        )
        assert find_server_errors(staff, requests) == []


def test_autocomplete_search_and_login_accept_any_params(staff: Client, rows: dict[str, int]) -> None:
    complete = {"term": "a", "app_label": "cards", "model_name": "asset", "field_name": "card", "page": "1"}
    requests = [
        f"/admin/autocomplete/?{urlencode(complete | {name: value})}"
        for name in complete
        for value in INVALID
    ]
    requests += [
        f"/admin/{page}={quote(value)}" for page in ("?x", "search/?s", "login/?next") for value in INVALID
    ]
    assert find_server_errors(staff, iter(requests)) == []
    for value in INVALID:
        data = {"username": value, "password": value, "next": value}
        assert staff.post("/admin/login/", data).status_code < 500


def test_a_filter_that_can_match_nothing_shows_the_whole_list(staff: Client, rows: dict[str, int]) -> None:
    staff.raise_request_exception = True
    page = staff.get("/admin/cards/card/?pack_id__exact=%00", follow=True)
    assert [card.card_id for card in page.context["cl"].result_list] == ["a"]


def test_a_number_of_many_thousand_digits_is_shown(staff: Client, rows: dict[str, int]) -> None:
    page = f"/admin/cards/card/{rows['cards/card']}/change/"
    data = FILLED["cards/card"] | {"metadata": '{"a": 1e5000}'}
    assert staff.post(page, data, follow=True).status_code == 200
    assert "1" + 5000 * "0" in staff.get(page).content.decode()
