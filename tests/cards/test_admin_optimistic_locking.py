"""Rows edited in the admin: only what a person changed is saved, exactly, and over nobody else's change."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.forms import fetch_change_form_fields, parse_form_fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def card() -> Card:
    for order, rarity in enumerate(("common", "rare", "epic")):
        PresentationRule.objects.create(rarity=rarity, frame_color="#CCCCCC", sort_order=order)
    return Card.objects.create(card_id="cóndor", title="Cóndor", pack_id="aves")


def page_of(row: Any) -> str:
    return reverse(f"admin:cards_{row._meta.model_name}_change", args=[row.pk])


def put(column: str, text: object, table: str = "cards") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [text])


def held(column: str, table: str = "cards") -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column}::text FROM {table}")
        return str(cursor.fetchone()[0])


def save(staff: Client, row: Any, **changes: str) -> Any:
    """Open the row's form and send it with some fields changed."""
    return staff.post(page_of(row), fetch_change_form_fields(staff, page_of(row)) | changes)


def changes() -> list[Any]:
    return list(AuditLog.objects.order_by("pk").values_list("changes", flat=True))


# What the columns of a card may hold that a form, a browser or Python could mistake.
KEPT: dict[str, list[Any]] = {
    "description": [
        "one\ntwo",
        "one\r\ntwo\nthree\rfour",
        "\nfirst",
        " blanks ",
        "trailing\n\n",
        "tab\tand\x0bfeed",
        "   ",
    ],
    "title": ["two\nlines", " Cóndor ", "a\u2028b", "Co\u0301ndor", '<b>"&amp;'],
    "image": ["a b.png ", "https://example.com/a.webp"],
    "rarity": ["mythic", " rare"],
    "rarity_v2": [" rare", "mythic", None],
    "tags": [
        "{}",
        '{""}',
        '{"a, b",c}',
        '{" a "," "}',
        '{"two\nlines","\r"}',
        '{"\\"a\\"","{}","[1]"}',
        '{"a\u2028b","\\\\"}',
        "{a,a}",
    ],
    "metadata": [
        '{"a": 0.12345678901234567890123, "b": 1.10, "c": 1e400}',
        '{"n": 12345678901234567890123456789, "z": -0.0, "deep": [{"x": 1.50}]}',
        '{"text": "a\\\\u00e9\\\\n\\"", "none": null, "": {}}',
        "{}",
    ],
}


each_kept = pytest.mark.parametrize(("column", "text"), [(c, t) for c, texts in KEPT.items() for t in texts])


@each_kept
def test_what_was_not_edited_stays_as_it_is_stored(staff: Client, card: Card, column: str, text: Any) -> None:
    put(column, text)
    if column != "rarity_v2":  # The trigger copies the rarity.
        put("rarity_v2", None)
    before, row = held(column), held("cards")
    assert save(staff, card).status_code == 302
    assert held("cards") == row
    assert save(staff, card, pack_id="otra").status_code == 302
    assert held(column) == before
    assert changes() == [{"pack_id": {"old": "aves", "new": "otra"}}]


def test_editing_one_key_of_metadata_keeps_the_digits_of_the_others(staff: Client, card: Card) -> None:
    put("metadata", '{"a": 0.12345678901234567890123, "b": 1.10, "c": "old", "d": 123456789012345678901}')
    text = fetch_change_form_fields(staff, page_of(card))["metadata"]
    save(staff, card, metadata=text.replace("old", "new"))
    wanted = '{"a": 0.12345678901234567890123, "b": 1.10, "c": "new", "d": 123456789012345678901}'
    assert held("metadata") == wanted
    assert '"b": 1.10, "c": "new"' in held("changes", "audit_logs")


def test_a_number_is_changed_where_only_its_last_zero_was(staff: Client, card: Card) -> None:
    put("metadata", '{"b": 1.1}')
    save(staff, card, metadata='{"b": 1.10}')
    assert held("metadata") == '{"b": 1.10}'


def test_a_new_card_keeps_the_digits_of_its_metadata(staff: Client, card: Card) -> None:
    Card.objects.all().delete()
    data = {"card_id": "a", "title": "A", "rarity": "rare", "pack_id": "p", "tags": "a, b\nc"}
    answer = staff.post(reverse("admin:cards_card_add"), data | {"metadata": '{"a": 1.10}'})
    assert answer.status_code == 302
    assert (held("metadata"), held("tags")) == ('{"a": 1.10}', '{"a, b",c}')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": }', "Enter valid JSON. Line 1, column 7: Expecting value."),
        ('{"a": NaN}', "PostgreSQL cannot store this JSON: "),
        ('{"a": "\\u0000"}', "PostgreSQL cannot store this JSON: "),
        ('{"a": "\\ud800"}', "PostgreSQL cannot store this JSON: "),
        ('{"a": 1e999999}', "PostgreSQL cannot store this JSON: "),
        ('{"a": "\0"}', "JSON"),
        ('{"a": 1, "a": 2}', "appears twice."),
        ("[" * 9000 + "]" * 9000, "This JSON is nested too deeply."),
        ("[1]", "metadata must be a JSON object"),
        ("", "metadata must be a JSON object"),
    ],
    ids=["syntax", "nan", "nul", "surrogate", "huge", "raw nul", "twice", "deep", "list", "nothing"],
)
def test_json_that_cannot_be_stored_is_told_in_the_form(
    staff: Client, card: Card, text: str, told: str
) -> None:
    page = save(staff, card, metadata=text, title="Kept")
    assert page.status_code == 200
    assert told in " ".join(map(str, page.context["errors"]))
    assert parse_form_fields(page, "card_form")["title"] == "Kept"
    assert held("title") == "Cóndor"


def test_one_tag_of_several_is_edited_and_the_others_stay(staff: Client, card: Card) -> None:
    put("tags", ["a, b", 'say "hi"', '"quoted"', " blank ", "two\nlines", "old"])
    text = fetch_change_form_fields(staff, page_of(card))["tags"]
    assert text.split("\r\n") == [
        "a, b", 'say "hi"', '"\\"quoted\\""', '" blank "', '"two\\nlines"', "old"
    ]  # fmt: skip
    save(staff, card, tags=text.replace("old", "new, newer"))
    card.refresh_from_db()
    assert card.tags == ["a, b", 'say "hi"', '"quoted"', " blank ", "two\nlines", "new, newer"]


@pytest.mark.parametrize("tags", ['"open', '"a" b', '"a\0"', "x" * 65, '""'])
def test_a_tag_that_cannot_be_meant_is_told_in_the_form(staff: Client, card: Card, tags: str) -> None:
    page = save(staff, card, tags=tags)
    assert page.status_code == 200
    assert "tags" in page.context["adminform"].form.errors
    assert held("tags") == "{}"


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [
        ("one\ntwo", "one\r\n2", "one\n2"),
        ("one\r\ntwo", "one\r\n2", "one\r\n2"),
        ("one", "one\r\ntwo ", "one\ntwo "),
        ("a\nb\r\nc", "a\r\nb\r\nC", "a\nb\nC"),
        ("", "a\rb", "a\nb"),
        ("one\ntwo", "", ""),
    ],
)
def test_an_edited_text_keeps_its_kind_of_line_break(
    staff: Client, card: Card, before: str, typed: str, after: str
) -> None:
    put("description", before)
    save(staff, card, description=typed)
    card.refresh_from_db()
    assert card.description == after


def test_two_forms_of_one_card_do_not_overwrite_one_another(staff: Client, card: Card) -> None:
    first, second = (
        fetch_change_form_fields(staff, page_of(card)),
        fetch_change_form_fields(staff, page_of(card)),
    )
    staff.post(page_of(card), first | {"title": "First", "description": "1"})
    page = staff.post(page_of(card), second | {"title": "Second", "tags": "typed"})
    assert (held("title"), held("tags")) == ("First", "{}")
    (told,) = page.context["adminform"].form.errors["title"]
    assert "ada changed this value to" in told
    assert "First" in told
    sent = parse_form_fields(page, "card_form")
    assert (sent["title"], sent["tags"]) == ("Second", "typed")

    assert staff.post(page_of(card), sent).status_code == 302
    assert (held("title"), held("tags"), held("description")) == ("Second", "{typed}", "1")
    assert changes()[-1]["title"] == {"old": "First", "new": "Second"}


CONFLICTS = {
    "metadata": ('{"a": 1.1}', '{"a": 1.10}', '{"a": 2}'),
    "tags": ("{a}", '{"a,b"}', "c"),
    "description": ("a\nb", "a\r\nb", "c"),
    "rarity_v2": (None, "rare", "epic"),
    "pack_id": ("p", "p ", "q"),
}


@pytest.mark.parametrize("column", CONFLICTS)
def test_the_least_change_by_somebody_else_is_a_conflict(staff: Client, card: Card, column: str) -> None:
    before, meanwhile, typed = CONFLICTS[column]
    put(column, before)
    form = fetch_change_form_fields(staff, page_of(card))
    put(column, meanwhile)
    page = staff.post(page_of(card), form | {column: typed})
    assert page.status_code == 200
    assert "somebody changed this value to" in page.context["adminform"].form.errors[column][0]
    assert staff.post(page_of(card), parse_form_fields(page, "card_form")).status_code == 302


def test_what_two_people_change_alike_is_no_conflict(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, page_of(card)) | {"title": "Same", "metadata": '{"a": 1.0}'}
    assert [staff.post(page_of(card), form).status_code for _ in range(2)] == [302, 302]
    assert len(changes()) == 1


def test_a_conflict_in_one_field_brings_back_no_other_old_value(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, page_of(card))
    Card.objects.update(title="Theirs", pack_id="theirs")
    page = staff.post(page_of(card), form | {"title": "Mine"})
    staff.post(page_of(card), parse_form_fields(page, "card_form"))
    assert (held("title"), held("pack_id")) == ("Mine", "theirs")


def test_rules_and_assets_have_the_same_care(staff: Client, card: Card) -> None:
    asset = add_asset(card)
    PresentationRule.objects.exclude(rarity="rare").delete()
    for row, changed in (
        (asset, {"generated_by": "x"}),
        (PresentationRule.objects.get(), {"badge_icon": "star"}),
    ):
        table = row._meta.db_table
        put("metadata", '{"a": 1.10, "b": 0.12345678901234567890123}', table)
        first, second = (
            fetch_change_form_fields(staff, page_of(row)),
            fetch_change_form_fields(staff, page_of(row)),
        )
        assert staff.post(page_of(row), first | changed).status_code == 302
        assert held("metadata", table) == '{"a": 1.10, "b": 0.12345678901234567890123}'
        assert staff.post(page_of(row), second | dict.fromkeys(changed, "other")).status_code == 200
    assert held("file_path", "assets") == "f "
    assert [list(each) for each in changes()] == [["generated_by"], ["badge_icon"]]


def add_asset(card: Card) -> Asset:
    return Asset.objects.create(
        asset_key="k", asset_type="t", file_path="f ", file_size=1, mime_type="a/b", card=card
    )


@pytest.mark.parametrize("meanwhile", [add_asset, lambda card: put("title", "Other")], ids=["asset", "title"])
def test_only_what_its_page_showed_is_deleted(staff: Client, card: Card, meanwhile: Any) -> None:
    page = reverse("admin:cards_card_delete", args=[card.pk])
    shown = parse_form_fields(staff.get(page), "")
    meanwhile(card)
    again = staff.post(page, shown, follow=True)
    assert "Nothing was deleted: the data changed" in again.content.decode()
    assert Card.objects.exists()
    assert staff.post(page, parse_form_fields(again, "")).status_code == 302
    assert not Card.objects.exists()
    assert set(AuditLog.objects.values_list("action", flat=True)) == {"admin_delete"}


@pytest.mark.parametrize("token", ["", "x", "eyJ0aXRsZSI6NX0:1a:abc", "\0"])
def test_a_form_without_what_it_was_opened_with_is_compared_with_the_row(
    staff: Client, card: Card, token: str
) -> None:
    put("tags", ["a, b"])
    form = fetch_change_form_fields(staff, page_of(card)) | {"opened": token, "title": "New"}
    assert staff.post(page_of(card), form).status_code == 302
    assert [list(each) for each in changes()] == [["title"]]


def test_a_new_row_shows_nothing_that_only_the_database_knows(staff: Client) -> None:
    for model in ("card", "asset", "presentationrule"):
        page = staff.get(reverse(f"admin:cards_{model}_add")).content.decode()
        assert "DatabaseDefault" not in page
        assert "Created at" not in page
        page = staff.post(reverse(f"admin:cards_{model}_add"), {}).content.decode()
        assert "DatabaseDefault" not in page
