"""Whatever an address or a form of the admin holds is answered: by the page, by words, by 400 or 404."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from redis import Redis

from cards.models import Asset, Card, PresentationRule
from ops.models import Export, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

# None is of the kind that is asked for, wherever it stands.
ODD = ("\0", "x", "9" * 30, "-1")
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


def failed(staff: Client, addresses: Iterator[str]) -> list[str]:
    return [address for address in addresses if staff.get(address, follow=True).status_code >= 500]


@pytest.mark.parametrize("model", ["cards/card", "cards/asset", "ops/run", "auth/user"])
def test_a_list_bears_any_parameter(staff: Client, rows: dict[str, int], model: str) -> None:
    asked = [{name: odd} for name in ("q", "o", "p") for odd in ODD]
    asked += [{name: "\0"} for name in ("e", "all", "_to_field", "_changelist_filters", *FILTERS)]
    asked += [dict.fromkeys(FILTERS, odd) for odd in ODD]
    assert failed(staff, (f"/admin/{model}/?{urlencode(each)}" for each in asked)) == []


@pytest.mark.parametrize("model", LISTS)
def test_the_page_of_a_row_bears_any_key(staff: Client, rows: dict[str, int], model: str) -> None:
    asked = [f"/admin/{model}/{quote(odd)}/change/" for odd in ODD]
    asked += [f"/admin/{model}/%00/{page}" for page in ("delete/", "history/", "")]
    assert failed(staff, iter(asked)) == []


def test_an_action_bears_any_tick(staff: Client, rows: dict[str, int]) -> None:
    for model, action in zip(LISTS, ("bulk_promote", "\0", *3 * ["delete_selected"]), strict=False):
        for odd in ODD:
            data = {"action": action, "_selected_action": odd, "post": "yes", "index": odd}
            assert staff.post(f"/admin/{model}/", data).status_code < 500, (model, data)
    assert Card.objects.exists()


def test_a_page_that_confirms_bears_any_question(staff: Client, rows: dict[str, int]) -> None:
    for page in ("operate/bulk_promote/", "export/"):
        for odd in ODD:
            inner = (urlencode({"pack_id__exact": odd}), urlencode({"q": odd}), urlencode({"p": odd}), odd)
            asked = [{"key": odd}, {"across": odd}, *({"across": 1, "_changelist_filters": i} for i in inner)]
            asked += [{"across": 1, "with-from_rarity": odd, "with-to_rarity": "common"}]
            asked += [{"across": 1, "how-workers": odd, "how-max_rate": odd}]
            for each in asked:
                address = f"/admin/cards/card/{page}?{urlencode(each)}"
                assert staff.get(address).status_code < 500, address
                sent = {"answered": odd, "with-from_rarity": odd, "format": odd, "audit_logs": odd}
                assert staff.post(address, sent).status_code < 500, address
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
def test_a_form_bears_any_value_in_each_field(staff: Client, rows: dict[str, int], model: str) -> None:
    for page in (f"/admin/{model}/add/", f"/admin/{model}/{rows[model]}/change/"):
        fields = [bound.html_name for bound in staff.get(page).context["adminform"].form]
        special = [name for name in fields if name in ("metadata", "tags", "card", "groups", "rarity")]
        sent = [FILLED[model] | {name: "\0"} for name in special] + [
            dict.fromkeys(fields, odd) for odd in ODD
        ]
        assert [each for each in sent if staff.post(page, each).status_code >= 500] == []
        asked = (f"{page}?{urlencode(dict.fromkeys((*fields, '_to_field'), odd))}" for odd in ODD[:2])
        assert failed(staff, asked) == []


def test_whatever_else_is_asked_is_answered(staff: Client, rows: dict[str, int]) -> None:
    complete = {"term": "a", "app_label": "cards", "model_name": "asset", "field_name": "card", "page": "1"}
    asked = [f"/admin/autocomplete/?{urlencode(complete | {name: odd})}" for name in complete for odd in ODD]
    asked += [f"/admin/{page}={quote(odd)}" for page in ("?x", "search/?s", "login/?next") for odd in ODD]
    assert failed(staff, iter(asked)) == []
    for odd in ODD:
        sent = {"username": odd, "password": odd, "next": odd}
        assert staff.post("/admin/login/", sent).status_code < 500


def test_a_filter_that_can_match_nothing_shows_the_whole_list(staff: Client, rows: dict[str, int]) -> None:
    staff.raise_request_exception = True
    page = staff.get("/admin/cards/card/?pack_id__exact=%00", follow=True)
    assert [card.card_id for card in page.context["cl"].result_list] == ["a"]


def test_a_number_of_many_thousand_digits_is_shown(staff: Client, rows: dict[str, int]) -> None:
    page = f"/admin/cards/card/{rows['cards/card']}/change/"
    sent = FILLED["cards/card"] | {"metadata": '{"a": 1e5000}'}
    assert staff.post(page, sent, follow=True).status_code == 200
    assert "1" + 5000 * "0" in staff.get(page).content.decode()
