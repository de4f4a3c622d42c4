"""The list of cards as a sheet: its rows, what its script posts, and the pages of change sets."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cards.models import Card, PresentationRule
from ops.admin.change_sets import sheet
from ops.admin.change_sets.sheet_columns import MAX_CELL_LENGTH, format_list, parse_list
from ops.models import ChangeSet, Run
from ops.queue.liveness import connect_queue, count_queued_jobs
from tests.admin_pages import page_text
from tests.ops.change_setting import make_editor

pytestmark = pytest.mark.django_db(transaction=True)

SHEET, SETS = "/admin/cards/card/sheet/", "/admin/cards/card/changeset/"


@pytest.fixture
def staff(client: Client) -> Client:
    for order, rarity in enumerate(("common", "rare")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#4A90E2", sort_order=order)
    client.force_login(User.objects.create_superuser("ada"))
    return client


def make_card(card_id: str = "condor", **values: Any) -> Card:
    return Card.objects.create(**{"card_id": card_id, "title": "Cóndor", "pack_id": "andes", **values})


def read_sheet(client: Client, query: str = "") -> Any:
    return client.get(f"{SHEET}?{query}").context["data"]


def post_json(client: Client, url: str, document: Any) -> Any:
    return client.post(url, json.dumps(document), content_type="application/json")


def review(client: Client, *cells: list[Any]) -> Any:
    return post_json(client, SETS, {"cells": cells})


def ids(data: Any) -> list[str]:
    return [row["id"] for row in data["rows"]]


def test_a_sheet_has_the_rows_of_the_list_with_the_editable_columns(staff: Client) -> None:
    card = make_card(tags=["a, b", "c"], metadata={"n": 1.10}, description="x\r\ny")
    make_card("otro", pack_id="other")
    data = read_sheet(staff, "pack_id__exact=andes")
    assert [column["name"] for column in data["columns"]] == [
        "title",
        "rarity",
        "pack_id",
        "tags",
        "description",
        "metadata",
    ]
    values = ["Cóndor", "common", "andes", '"a, b", c', "x\r\ny", '{"n": 1.1}']
    assert data["rows"] == [{"key": str(card.pk), "id": "condor", "values": values}]


def test_a_sheet_goes_on_after_its_last_row(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "SHEET_ROWS", 2)
    for number in range(5):
        make_card(f"card-{number}")
    first = staff.get(SHEET)
    assert ids(first.context["data"]) == ["card-4", "card-3"]
    second = staff.get(SHEET + first.context["next_url"])
    assert ids(second.context["data"]) == ["card-2", "card-1"]
    assert ids(staff.get(SHEET + second.context["first_url"]).context["data"]) == ["card-4", "card-3"]
    last = staff.get(SHEET + second.context["next_url"])
    assert (ids(last.context["data"]), last.context["next_url"]) == (["card-0"], "")


def test_the_list_leads_to_its_sheet_with_its_filters(staff: Client) -> None:
    make_card()
    page = staff.get("/admin/cards/card/?pack_id__exact=andes&layout=grid&columns=title")
    assert f"{SHEET}?pack_id__exact=andes" in page.content.decode()


def test_a_value_too_long_for_a_cell_is_shown_in_part(staff: Client) -> None:
    make_card(description="x" * (MAX_CELL_LENGTH + 1))
    [row] = read_sheet(staff)["rows"]
    assert row["values"][4] == {"cut": "x" * 200}


@pytest.mark.parametrize("items", [["a, b", "c"], [" x "], [""], ['"q"'], ["[1]"], ["a\nb", "c\\d"], []])
def test_a_list_comes_back_from_its_cell_exactly(items: list[str]) -> None:
    assert parse_list(format_list(items)) == items


def test_a_list_is_read_as_a_spreadsheet_has_it() -> None:
    assert parse_list("ave, grande\nnegra,,") == ["ave", "grande", "negra"]
    assert parse_list('["a, b", "c"]') == ["a, b", "c"]


def test_rows_are_asked_for_by_their_card_ids(staff: Client) -> None:
    card = make_card()
    answer = post_json(staff, f"{SHEET}rows/", {"ids": ["condor", "nobody", "\0", "\ud800"]}).json()
    assert [row["key"] for row in answer["rows"]] == [str(card.pk)]
    answer = post_json(staff, f"{SHEET}rows/", {"keys": [str(card.pk), "x"]}).json()
    assert ids(answer) == ["condor"]


def test_reviewed_cells_become_a_change_set_with_a_page(staff: Client) -> None:
    card = make_card(tags=["a, b"], metadata={})
    Card.objects.filter(pk=card.pk).update(description="one\r\ntwo")
    key = str(card.pk)
    answer = review(
        staff,
        [key, "title", "Cóndor", " Cóndor andino "],
        [key, "tags", '"a, b"', '"a, b", c'],
        [key, "metadata", "{}", '{"w": 1.10}'],
        [key, "description", "one\r\ntwo", "one\nthree"],
    )
    assert answer.status_code == 201
    change_set = ChangeSet.objects.get()
    assert (change_set.created_by, str(change_set)) == ("ada", "4 cells in 1 card")
    [staged] = change_set.staged.all()
    assert staged.changes["title"]["new"] == "Cóndor andino"
    assert staged.changes["tags"]["new"] == ["a, b", "c"]
    assert staged.changes["description"]["new"] == "one\r\nthree"
    page = staff.get(answer.json()["url"])
    assert "4 cells in 1 card" in page_text(page)
    assert '"w": 1.10' in page_text(page).replace("&quot;", '"') or "1.10" in page_text(page)
    assert Card.objects.get().title == "Cóndor"


def test_every_refused_cell_is_told_and_nothing_is_kept(staff: Client) -> None:
    key = str(make_card().pk)
    answer = review(
        staff,
        [key, "title", "Cóndor", "two\nlines"],
        [key, "rarity", "common", "golden"],
        [key, "metadata", "{}", '{"a": 1, "a": 2}'],
        [key, "pack_id", "andes", ""],
        [key, "card_id", "condor", "x"],
        ["999999999", "title", "a", "b"],
    )
    assert answer.status_code == 422
    errors = {(row, column): message for row, column, message in answer.json()["errors"]}
    assert errors[key, "title"] == "Title is one line: this has a line break."
    assert errors[key, "rarity"] == "“golden” is not one of: common, rare."
    assert errors[key, "metadata"] == 'The key "a" appears twice.'
    assert {(key, "pack_id"), (key, "card_id"), ("999999999", "")} <= errors.keys()
    assert not ChangeSet.objects.exists()


@pytest.mark.parametrize(
    "cell",
    [
        ["rarity", "common", "golden"],
        ["metadata", "{}", "{"],
        ["metadata", "{}", '{"a":' + "[" * 700 + "]" * 700 + "}"],
        ["metadata", "[" * 9_000 + "]" * 9_000, "{}"],
    ],
)
def test_a_refused_cell_is_told_where_no_other_is_edited(staff: Client, cell: list[str]) -> None:
    key = str(make_card().pk)
    for also in ([], [[key, "title", "Cóndor", "Cóndor"]]):
        answer = review(staff, [key, *cell], *also)
        assert (answer.status_code, [error[:2] for error in answer.json()["errors"]]) == (
            422,
            [[key, cell[0]]],
        )


@pytest.mark.parametrize("document", [[], {}, {"cells": "x"}, {"cells": [["1", "title", 5, "x"]]}])
def test_what_is_no_list_of_cells_is_a_bad_request(staff: Client, document: Any) -> None:
    assert post_json(staff, SETS, document).status_code == 400


def test_a_post_over_the_limit_is_refused_in_words(staff: Client) -> None:
    answer = review(staff, ["1", "title", "a", "x" * 5_300_000])
    assert (answer.status_code, "in two parts" in answer.json()["message"]) == (413, True)


def test_cells_that_are_as_they_were_are_no_change_set(staff: Client) -> None:
    answer = review(staff, [str(make_card().pk), "title", "Cóndor", "Cóndor"])
    assert (answer.status_code, "nothing to change" in answer.json()["message"]) == (409, True)


def make_change_set(client: Client, **cards: str) -> str:
    """Review a new title of a card; return the URL of the change set."""
    card = Card.objects.first() or make_card()
    url: str = review(client, [str(card.pk), "title", card.title, "Buitre"]).json()["url"]
    return url


def test_a_change_set_is_started_once(staff: Client, redis_server: Any) -> None:
    url = make_change_set(staff)
    answer = staff.post(f"{url}start/")
    run = Run.objects.get()
    assert (answer.headers["Location"], run.params) == (
        f"/admin/ops/run/{run.pk}/change/",
        {"change_set": ChangeSet.objects.get().pk},
    )
    assert count_queued_jobs(run.pk, connect_queue()) == 1
    assert staff.post(f"{url}start/").headers["Location"] == answer.headers["Location"]
    assert Run.objects.count() == 1
    assert f"Run {run.pk}" in page_text(staff.get(url))


def test_a_conflict_is_shown_with_the_three_values(staff: Client) -> None:
    url = make_change_set(staff)
    Card.objects.update(title="Theirs")
    page = staff.get(f"{url}?show=conflicts")
    assert page.context["counts"].conflicts == 1
    assert "Cóndor → Buitre conflict now: Theirs" in page_text(page)


def test_a_claimed_column_says_whose_run_has_it(staff: Client, redis_server: Any) -> None:
    first, second = make_change_set(staff), make_change_set(staff)
    staff.post(f"{first}start/")
    run = Run.objects.get()
    assert f"Run {run.pk} (Apply change set, started by ada) writes the same field" in page_text(
        staff.get(second)
    )
    assert staff.post(f"{second}start/").status_code == 409
    answer = staff.post(f"{second}start/", headers={"Accept": "application/json"})
    assert answer.json()["is_claimed"]
    assert Run.objects.count() == 1


def test_who_lost_the_permission_is_refused_and_the_set_is_kept(client: Client) -> None:
    ana = make_editor()
    ana.is_staff = True
    ana.save()
    client.force_login(ana)
    key = str(make_card().pk)
    url = review(client, [key, "title", "Cóndor", "Buitre"]).json()["url"]
    ana.user_permissions.clear()
    assert client.post(f"{url}start/").status_code == 403
    assert (
        review(client, [key, "title", "Cóndor", "x"]).json()["message"]
        == "You may not change cards any more."
    )
    assert ChangeSet.objects.get().created_by == "ana"
    client.force_login(User.objects.create_superuser("ada"))
    page = client.post(f"{url}start/")
    assert page.status_code == 409
    assert "ana made change set" in page_text(page)
    assert not Run.objects.exists()


def test_only_the_maker_and_superusers_see_a_change_set(staff: Client) -> None:
    url = make_change_set(staff)
    bob = User.objects.get(pk=make_editor(name="bob").pk)
    bob.is_staff = True
    bob.save()
    staff.force_login(bob)
    assert staff.get(url).status_code == 403
    assert "You have none yet" in page_text(staff.get(SETS))


def test_the_list_of_change_sets_says_which_were_started(staff: Client, redis_server: Any) -> None:
    staff.post(f"{make_change_set(staff)}start/")
    make_change_set(staff)
    text = page_text(staff.get(SETS))
    assert text.index("not started") < text.index(f"Run {Run.objects.get().pk}")
    assert read_sheet(staff)["drafts"] == [ChangeSet.objects.latest("pk").pk]
