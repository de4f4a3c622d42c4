"""Editing rows in the admin: only edited fields are saved, losslessly, and no update is lost."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from cards.models import Asset, Card, PresentationRule
from ops.models import AuditLog
from tests.admin_pages import page_text
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


def change_url(row: Any) -> str:
    return reverse(f"admin:cards_{row._meta.model_name}_change", args=[row.pk])


def set_column(column: str, text: object, table: str = "cards") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [text])


def column_text(column: str, table: str = "cards") -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column}::text FROM {table}")
        return str(cursor.fetchone()[0])


def save(staff: Client, row: Any, **changes: str) -> Any:
    """Open the row's form and send it with some fields changed."""
    return staff.post(change_url(row), fetch_change_form_fields(staff, change_url(row)) | changes)


def audited_changes() -> list[Any]:
    return list(AuditLog.objects.order_by("pk").values_list("changes", flat=True))


# Values of columns that a form, a browser or Python could change by mistake.
STORED: dict[str, list[Any]] = {
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


each_stored = pytest.mark.parametrize(
    ("column", "text"), [(c, t) for c, texts in STORED.items() for t in texts]
)


@each_stored
def test_unedited_values_stay_as_they_are_stored(staff: Client, card: Card, column: str, text: Any) -> None:
    set_column(column, text)
    if column != "rarity_v2":  # The trigger copies the rarity.
        set_column("rarity_v2", None)
    before, row = column_text(column), column_text("cards")
    assert save(staff, card).status_code == 302
    assert column_text("cards") == row
    assert save(staff, card, pack_id="otra").status_code == 302
    assert column_text(column) == before
    assert audited_changes() == [{"pack_id": {"old": "aves", "new": "otra"}}]


def test_editing_one_key_of_metadata_keeps_the_digits_of_the_others(staff: Client, card: Card) -> None:
    set_column(
        "metadata", '{"a": 0.12345678901234567890123, "b": 1.10, "c": "old", "d": 123456789012345678901}'
    )
    text = fetch_change_form_fields(staff, change_url(card))["metadata"]
    save(staff, card, metadata=text.replace("old", "new"))
    expected = '{"a": 0.12345678901234567890123, "b": 1.10, "c": "new", "d": 123456789012345678901}'
    assert column_text("metadata") == expected
    assert '"b": 1.10, "c": "new"' in column_text("changes", "audit_logs")


def test_a_trailing_zero_is_a_change_of_a_number(staff: Client, card: Card) -> None:
    set_column("metadata", '{"b": 1.1}')
    save(staff, card, metadata='{"b": 1.10}')
    assert column_text("metadata") == '{"b": 1.10}'


def test_a_new_card_keeps_the_digits_of_its_metadata(staff: Client, card: Card) -> None:
    Card.objects.all().delete()
    data = {"card_id": "a", "title": "A", "rarity": "rare", "pack_id": "p", "tags": "a, b\nc"}
    response = staff.post(reverse("admin:cards_card_add"), data | {"metadata": '{"a": 1.10}'})
    assert response.status_code == 302
    assert (column_text("metadata"), column_text("tags")) == ('{"a": 1.10}', '{"a, b",c}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": }', "Enter valid JSON. Line 1, column 7: Expecting value."),
        ('{"a": NaN}', "PostgreSQL cannot store this JSON: invalid input syntax for type json. Token "),
        ('{"a": "\\u0000"}', "PostgreSQL cannot store this JSON: "),
        ('{"a": "\\ud800"}', "PostgreSQL cannot store this JSON: "),
        ('{"a": 1e999999}', "PostgreSQL cannot store this JSON: "),
        ('{"a": "\0"}', "JSON"),
        ('{"a": 1, "a": 2}', "appears twice."),
        ("[" * 9000 + "]" * 9000, "This JSON is nested more than 500 deep."),
        # Python reads it in a script, but not where a page is built: its audit row would break the log.
        ('{"a":' + "[" * 920 + "]" * 920 + "}", "This JSON is nested more than 500 deep."),
        ("[1]", "metadata must be a JSON object"),
        ("", "metadata must be a JSON object"),
    ],
    ids=[
        "syntax",
        "nan",
        "nul",
        "surrogate",
        "huge",
        "raw nul",
        "twice",
        "deepest",
        "deep",
        "list",
        "nothing",
    ],
)
def test_the_form_reports_json_that_cannot_be_stored(
    staff: Client, card: Card, text: str, message: str
) -> None:
    page = save(staff, card, metadata=text, title="Kept")
    assert page.status_code == 200
    assert message in " ".join(map(str, page.context["errors"]))
    assert parse_form_fields(page, "card_form")["title"] == "Kept"
    assert column_text("title") == "Cóndor"


def test_one_tag_of_several_is_edited_and_the_others_stay(staff: Client, card: Card) -> None:
    set_column("tags", ["a, b", 'say "hi"', '"quoted"', " blank ", "two\nlines", "old"])
    text = fetch_change_form_fields(staff, change_url(card))["tags"]
    assert text.split("\r\n") == [
        "a, b", 'say "hi"', '"\\"quoted\\""', '" blank "', '"two\\nlines"', "old"
    ]  # fmt: skip
    save(staff, card, tags=text.replace("old", "new, newer"))
    card.refresh_from_db()
    assert card.tags == ["a, b", 'say "hi"', '"quoted"', " blank ", "two\nlines", "new, newer"]


@pytest.mark.parametrize("tags", ['"open', '"a" b', '"a\0"', "x" * 65, '""'])
def test_the_form_reports_invalid_tags(staff: Client, card: Card, tags: str) -> None:
    page = save(staff, card, tags=tags)
    assert page.status_code == 200
    assert "tags" in page.context["adminform"].form.errors
    assert column_text("tags") == "{}"


@pytest.mark.parametrize(
    ("stored", "typed", "expected"),
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
    staff: Client, card: Card, stored: str, typed: str, expected: str
) -> None:
    set_column("description", stored)
    save(staff, card, description=typed)
    card.refresh_from_db()
    assert card.description == expected


def test_two_forms_of_one_card_do_not_overwrite_one_another(staff: Client, card: Card) -> None:
    first, second = (
        fetch_change_form_fields(staff, change_url(card)),
        fetch_change_form_fields(staff, change_url(card)),
    )
    staff.post(change_url(card), first | {"title": "First", "description": "1"})
    page = staff.post(change_url(card), second | {"title": "Second", "tags": "typed"})
    assert (column_text("title"), column_text("tags")) == ("First", "{}")
    (message,) = page.context["adminform"].form.errors["title"]
    assert "ada changed this value to" in message
    assert "First" in message
    data = parse_form_fields(page, "card_form")
    assert (data["title"], data["tags"]) == ("Second", "typed")

    assert staff.post(change_url(card), data).status_code == 302
    assert (column_text("title"), column_text("tags"), column_text("description")) == (
        "Second",
        "{typed}",
        "1",
    )
    assert audited_changes()[-1]["title"] == {"old": "First", "new": "Second"}


def test_a_conflict_shows_who_changed_what_since_the_form_was_opened(staff: Client, card: Card) -> None:
    save(staff, card, title="Before")
    form = fetch_change_form_fields(staff, change_url(card))
    save(staff, card, title="Theirs", pack_id="rapaces")
    page = staff.post(change_url(card), form | {"title": "Mine"})
    panel = page_text(page).partition("was changed while the form was open.")[2]
    assert panel.startswith(" Nothing of yours is saved yet. Changed ada , by hand")
    assert "Title Before Theirs Pack id aves → rapaces" in panel.replace(" → Theirs", " Theirs")
    assert "Discard my changes and load it again" in panel
    assert 'data-take="id_title" data-value="Theirs"' in page.content.decode()


def test_an_open_form_learns_who_changed_what(staff: Client, card: Card) -> None:
    save(staff, card, title="Before")
    url = re.search(r'data-url="([^"]+)"', staff.get(change_url(card)).content.decode())
    assert url
    assert staff.get(url[1]).json() == {"text": ""}
    save(staff, card, title="Theirs", pack_id="rapaces")
    staff.force_login(User.objects.create_superuser("eva"))
    save(staff, card, rarity="epic")
    text = "ada and eva changed Title, Rarity, Rarity v2 and Pack id since you opened this form."
    assert staff.get(url[1]).json() == {"text": text}
    card.delete()
    assert staff.get(url[1]).json() == {"text": "This card was deleted."}


@pytest.mark.parametrize(
    ("key", "after"), [("x", "0"), ("_00", "1"), ("1", "x"), ("1", "9" * 30), ("1", "\0")]
)
def test_changes_of_or_after_an_invalid_key_are_answered(staff: Client, key: str, after: str) -> None:
    response = staff.get(f"/admin/cards/card/{key}/changes/", {"after": after})
    assert response.status_code == (200 if after in ("0", "1") else 400)


def test_a_conflict_with_a_change_outside_the_site_says_so(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, change_url(card))
    Card.objects.update(title="Theirs")
    page = staff.post(change_url(card), form | {"title": "Mine"})
    assert "No change is recorded: it was made by the game's servers" in page_text(page)


CONFLICTS = {
    "metadata": ('{"a": 1.1}', '{"a": 1.10}', '{"a": 2}'),
    "tags": ("{a}", '{"a,b"}', "c"),
    "description": ("a\nb", "a\r\nb", "c"),
    "rarity_v2": (None, "rare", "epic"),
    "pack_id": ("p", "p ", "q"),
}


@pytest.mark.parametrize("column", CONFLICTS)
def test_any_change_by_another_user_is_a_conflict(staff: Client, card: Card, column: str) -> None:
    before, meanwhile, typed = CONFLICTS[column]
    set_column(column, before)
    form = fetch_change_form_fields(staff, change_url(card))
    set_column(column, meanwhile)
    page = staff.post(change_url(card), form | {column: typed})
    assert page.status_code == 200
    assert "somebody changed this value to" in page.context["adminform"].form.errors[column][0]
    assert staff.post(change_url(card), parse_form_fields(page, "card_form")).status_code == 302


def test_two_users_making_the_same_change_is_no_conflict(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, change_url(card)) | {"title": "Same", "metadata": '{"a": 1.0}'}
    assert [staff.post(change_url(card), form).status_code for _ in range(2)] == [302, 302]
    assert len(audited_changes()) == 1


def test_after_a_conflict_the_other_fields_show_what_was_saved_meanwhile(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, change_url(card))
    theirs = {"title": "Theirs", "pack_id": "rapaces", "tags": ["a, b", " c "], "description": "1\r\n2"}
    Card.objects.update(**theirs, rarity="epic")
    set_column("metadata", '{"b": 1.10}')
    page = staff.post(change_url(card), form | {"title": "Mine"})
    shown = parse_form_fields(page, "card_form")
    assert (shown["title"], shown["pack_id"], shown["rarity"]) == ("Mine", "rapaces", "epic")
    assert (shown["tags"], shown["description"]) == ('a, b\r\n" c "', "1\r\n2")
    assert '"b": 1.10' in shown["metadata"]
    row = column_text("cards")
    assert staff.post(change_url(card), shown | {"title": "Theirs"}).status_code == 302
    assert column_text("cards") == row  # what was only shown is not saved


def test_a_conflict_in_one_field_does_not_revert_others(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, change_url(card))
    Card.objects.update(title="Theirs", pack_id="theirs")
    page = staff.post(change_url(card), form | {"title": "Mine"})
    staff.post(change_url(card), parse_form_fields(page, "card_form"))
    assert (column_text("title"), column_text("pack_id")) == ("Mine", "theirs")


def test_rules_and_assets_have_optimistic_locking_too(staff: Client, card: Card) -> None:
    asset = add_asset(card)
    PresentationRule.objects.exclude(rarity="rare").delete()
    for row, changed in (
        (asset, {"generated_by": "x"}),
        (PresentationRule.objects.get(), {"badge_icon": "star"}),
    ):
        table = row._meta.db_table
        set_column("metadata", '{"a": 1.10, "b": 0.12345678901234567890123}', table)
        first, second = (
            fetch_change_form_fields(staff, change_url(row)),
            fetch_change_form_fields(staff, change_url(row)),
        )
        assert staff.post(change_url(row), first | changed).status_code == 302
        assert column_text("metadata", table) == '{"a": 1.10, "b": 0.12345678901234567890123}'
        assert staff.post(change_url(row), second | dict.fromkeys(changed, "other")).status_code == 200
    assert column_text("file_path", "assets") == "f "
    assert [list(each) for each in audited_changes()] == [["generated_by"], ["badge_icon"]]


def add_asset(card: Card) -> Asset:
    return Asset.objects.create(
        asset_key="k", asset_type="t", file_path="f ", file_size=1, mime_type="a/b", card=card
    )


@pytest.mark.parametrize(
    "meanwhile", [add_asset, lambda card: set_column("title", "Other")], ids=["asset", "title"]
)
def test_a_deletion_is_refused_when_the_data_has_changed(staff: Client, card: Card, meanwhile: Any) -> None:
    page = reverse("admin:cards_card_delete", args=[card.pk])
    data = parse_form_fields(staff.get(page), "")
    meanwhile(card)
    again = staff.post(page, data, follow=True)
    assert "Nothing was deleted: the data changed" in again.content.decode()
    assert Card.objects.exists()
    assert staff.post(page, parse_form_fields(again, "")).status_code == 302
    assert not Card.objects.exists()
    assert set(AuditLog.objects.values_list("action", flat=True)) == {"admin_delete"}


@pytest.mark.parametrize("token", ["", "x", "eyJ0aXRsZSI6NX0:1a:abc", "\0"])
def test_a_form_without_a_valid_snapshot_is_compared_with_the_row(
    staff: Client, card: Card, token: str
) -> None:
    set_column("tags", ["a, b"])
    form = fetch_change_form_fields(staff, change_url(card)) | {"opened": token, "title": "New"}
    assert staff.post(change_url(card), form).status_code == 302
    assert [list(each) for each in audited_changes()] == [["title"]]


def test_an_add_page_shows_no_database_defaults(staff: Client) -> None:
    for model in ("card", "asset", "presentationrule"):
        page = staff.get(reverse(f"admin:cards_{model}_add")).content.decode()
        assert "DatabaseDefault" not in page
        assert "Created at" not in page
        page = staff.post(reverse(f"admin:cards_{model}_add"), {}).content.decode()
        assert "DatabaseDefault" not in page


def test_what_was_typed_for_a_deleted_card_is_shown(staff: Client, card: Card) -> None:
    form = fetch_change_form_fields(staff, change_url(card))
    delete_url = reverse("admin:cards_card_delete", args=[card.pk])
    staff.post(delete_url, parse_form_fields(staff.get(delete_url), ""))
    assert not Card.objects.exists()
    page = staff.post(change_url(card), form | {"title": "<i>Long", "description": "typed\r\nlines"})
    text = page_text(page)
    assert page.status_code == 410
    assert "ada deleted this card while you were editing it, so nothing was saved." in text
    assert "&lt;i&gt;Long" in page.content.decode()
    assert "typed lines" in text
    history = reverse("admin:cards_card_history", args=[card.pk])
    assert f'href="{history}"' in page.content.decode()
    assert staff.get(history).status_code == 200


def test_a_missing_card_leads_to_the_list(staff: Client) -> None:
    page = staff.get(reverse("admin:cards_card_change", args=[404]), follow=True)
    assert page.redirect_chain == [(reverse("admin:cards_card_changelist"), 302)]
    assert "There is no card “404”. It may have been deleted." in page_text(page)
