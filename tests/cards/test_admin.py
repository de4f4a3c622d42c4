import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cards.admin.badge import choose_text_color, get_contrast_ratio
from cards.models import Asset, Card, PresentationRule
from ops.admin.lists import large_tables, pagination
from ops.models import AuditLog, Run
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def rows() -> dict[str, int]:
    card = Card.objects.create(card_id="águila-real", title="Águila real", pack_id="aves", tags=["a"])
    rule = PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
    PresentationRule.objects.create(rarity="rare", frame_color="#4A90E2", sort_order=2)
    asset = Asset.objects.create(
        asset_key="thumb/1",
        asset_type="thumbnail",
        file_path="1.webp",
        file_size=1,
        mime_type="image/webp",
        checksum="ab" * 32,
        card=card,
    )
    return {"card": card.pk, "presentationrule": rule.pk, "asset": asset.pk}


@pytest.mark.parametrize("model", ["card", "presentationrule", "asset"])
def test_staff_can_list_search_open_and_add_rows_of_every_model(
    staff: Client, rows: dict[str, int], model: str
) -> None:
    for url in (
        reverse(f"admin:cards_{model}_changelist"),
        reverse(f"admin:cards_{model}_changelist") + "?q=thumb",
        reverse(f"admin:cards_{model}_add"),
        reverse(f"admin:cards_{model}_change", args=[rows[model]]),
    ):
        assert staff.get(url, follow=True).status_code == 200


def test_a_card_saved_in_the_admin_is_stored(staff: Client, rows: dict[str, int]) -> None:
    url = reverse("admin:cards_card_change", args=[rows["card"]])
    form = staff.get(url).context["adminform"].form
    data = {name: form[name].value() or "" for name in form.fields} | {"title": "Reina", "rarity": "rare"}
    assert staff.post(url, data).status_code == 302
    assert Card.objects.values_list("title", "rarity", "tags").get() == ("Reina", "rare", ["a"])


@pytest.mark.parametrize("model", ["card", "presentationrule", "asset"])
def test_a_read_only_page_shows_metadata_unescaped(client: Client, rows: dict[str, int], model: str) -> None:
    apps.get_model("cards", model).objects.update(metadata={"hábitat": "páramo <b>", "also": [None, {}]})
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client.force_login(viewer)
    page = client.get(reverse(f"admin:cards_{model}_change", args=[rows[model]])).content.decode()
    assert "&quot;hábitat&quot;: &quot;páramo &lt;b&gt;&quot;" in page
    assert "Metadata" in page
    assert "_save" not in page


def test_a_form_shows_what_the_database_would_refuse(staff: Client) -> None:
    data = {"card_id": "two words", "title": "T", "rarity": "common", "pack_id": "p", "metadata": "[1]"}
    page = staff.post(reverse("admin:cards_card_add"), data).content.decode()
    assert "A card id holds no spaces." in page
    assert "metadata must be a JSON object" in page
    assert not Card.objects.exists()


def save_change_form(staff: Client, model: str, pk: int, **values: object) -> None:
    """Open the form, as a browser does with its hidden initial values, and save it with other values."""
    url = reverse(f"admin:cards_{model}_change", args=[pk])
    form = staff.get(url).context["adminform"].form
    fields = {bound.html_name: bound.value() for bound in form}
    fields |= {bound.html_initial_name: bound.value() for bound in form if bound.field.show_hidden_initial}
    data = {name: "" if value is None else value for name, value in fields.items()} | values
    assert staff.post(url, data).status_code == 302


def audit_rows() -> list[tuple[str, str, object]]:
    return list(AuditLog.objects.order_by("pk").values_list("action", "object_type", "changes"))


def test_a_change_is_audited_with_the_changes_of_triggers(staff: Client, rows: dict[str, int]) -> None:
    save_change_form(staff, "card", rows["card"], title="Reina", rarity="rare")
    both = {"old": "common", "new": "rare"}
    changes = {"title": {"old": "Águila real", "new": "Reina"}, "rarity": both, "rarity_v2": both}
    assert audit_rows() == [("admin_change", "cards.card", changes)]
    assert AuditLog.objects.get().performed_by == "ada"


def test_an_unedited_form_changes_and_audits_nothing(staff: Client, rows: dict[str, int]) -> None:
    before = Card.objects.get().updated_at
    for model, pk in rows.items():
        save_change_form(staff, model, pk)
    assert audit_rows() == []
    assert Card.objects.get().updated_at == before


def test_saving_a_form_keeps_what_a_run_changed_meanwhile(staff: Client, rows: dict[str, int]) -> None:
    url = reverse("admin:cards_card_change", args=[rows["card"]])
    form = staff.get(url).context["adminform"].form
    fields = {bound.html_name: bound.value() or "" for bound in form}
    fields |= {
        bound.html_initial_name: bound.value() or "" for bound in form if bound.field.show_hidden_initial
    }
    Card.objects.update(rarity="epic")
    assert staff.post(url, fields | {"title": "Reina"}).status_code == 302
    assert Card.objects.values_list("title", "rarity", "rarity_v2").get() == ("Reina", "epic", "epic")
    assert [list(changes) for _, _, changes in audit_rows()] == [["title"]]


def test_adding_a_card_is_audited(staff: Client) -> None:
    data = {"card_id": "cóndor", "title": "Cóndor", "rarity": "common", "pack_id": "aves", "metadata": "{}"}
    assert staff.post(reverse("admin:cards_card_add"), data).status_code == 302
    ((action, model, changes),) = audit_rows()
    assert (action, model) == ("admin_add", "cards.card")
    assert changes["rarity_v2"] == {"old": None, "new": "common"}


def test_deleting_a_card_is_audited_with_its_assets(staff: Client, rows: dict[str, int]) -> None:
    url = reverse("admin:cards_card_delete", args=[rows["card"]])
    assert staff.post(url, {"post": "yes"}).status_code == 302
    assert sorted(model for _, model, _ in audit_rows()) == ["cards.asset", "cards.card"]
    assert not Asset.objects.exists()


def test_cards_cannot_be_deleted_by_ticking_them(staff: Client, rows: dict[str, int]) -> None:
    data = {"action": "delete_selected", "_selected_action": rows["card"], "post": "yes"}
    staff.post(reverse("admin:cards_card_changelist"), data)
    assert Card.objects.exists()


def test_the_list_shows_the_picture_and_the_rarity_badge(staff: Client, rows: dict[str, int]) -> None:
    Card.objects.update(image="aves/cóndor.webp")
    page = staff.get(reverse("admin:cards_card_changelist")).content.decode()
    assert 'src="/media/aves/c%C3%B3ndor.webp"' in page
    assert 'style="background:#CCCCCC;color:#000000">common</span>' in page
    Card.objects.update(thumbnail="thumbs/1.webp")
    assert 'src="/media/thumbs/1.webp"' in staff.get(reverse("admin:cards_card_changelist")).content.decode()


def test_a_picture_on_another_site_is_not_loaded(staff: Client, rows: dict[str, int]) -> None:
    Card.objects.update(image="https://example.com/1.webp")
    assert "<img" not in staff.get(reverse("admin:cards_card_changelist")).content.decode()


@pytest.mark.parametrize("colour", ["#CCCCCC", "#4A90E2", "#9B59B6", "#F39C12", "#777777", "#000000"])
def test_the_text_of_a_badge_has_enough_contrast(colour: str) -> None:
    assert get_contrast_ratio(choose_text_color(colour), colour) >= 4.5


def list_cards(staff: Client, query: str) -> tuple[list[str], str]:
    """The card ids on the page, and how many cards it speaks of."""
    changelist = staff.get(reverse("admin:cards_card_changelist") + query).context["cl"]
    return [card.card_id for card in changelist.result_list], str(changelist.result_count)


@pytest.mark.parametrize(
    ("query", "card_ids"),
    [
        ("", ["c4", "c3", "c2", "c1", "c0"]),
        ("?q=c3", ["c3"]),
        ("?q=Title+2", ["c2"]),
        ("?rarity__exact=rare", ["c3", "c0"]),
        ("?pack_id__exact=p1", ["c3", "c1"]),
        ("?rarity_v2__isnull=True", ["c4"]),
        ("?rarity_v2__isnull=False&pack_id__exact=p0", ["c2", "c0"]),
        ("?q=nothing", []),
    ],
)
def test_cards_are_found_by_search_and_filters(staff: Client, query: str, card_ids: list[str]) -> None:
    five_cards()
    assert list_cards(staff, query) == (card_ids, str(len(card_ids)))


def five_cards() -> None:
    for n in range(5):
        Card.objects.create(
            card_id=f"c{n}", title=f"Title {n}", pack_id=f"p{n % 2}", rarity=("common", "rare")[n % 3 == 0]
        )
    Card.objects.filter(card_id="c4").update(rarity_v2=None)


@pytest.fixture
def _long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 3)
    monkeypatch.setattr(large_tables.LargeTableAdmin, "list_per_page", 2)
    five_cards()


@pytest.mark.usefixtures("_long_list")
def test_the_rows_of_a_long_list_are_estimated(staff: Client) -> None:
    card_ids, count = list_cards(staff, "?o=-2")
    assert count.startswith("about ")
    assert card_ids == ["c4", "c3"]
    assert list_cards(staff, "?p=2") == (["c2"], count)
    assert list_cards(staff, "?p=1&q=Title+c1") == (["c1"], "1")


def follow(staff: Client, label: str, query: str) -> tuple[list[str], str]:
    """Follow a link to another page until there is none; return the card ids of each page."""
    pages = []
    while query:
        changelist = staff.get(reverse("admin:cards_card_changelist") + query).context["cl"]
        pages.append(" ".join(card.card_id for card in changelist.result_list))
        last, query = query, dict(changelist.page_links)[label]
    return pages, last


@pytest.mark.usefixtures("_long_list")
@pytest.mark.parametrize("order", ["", "&o=2", "&o=-2", "&o=2&pack_id__exact=p0", "&q=title"])
def test_a_long_list_is_paged_to_its_last_row_and_back(
    staff: Client, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(pagination, "MAX_COUNTED_ROWS", 2)
    forward, last = follow(staff, "Next", f"?{order}")
    shown = " ".join(forward).split()
    assert sorted(shown) == (["c0", "c2", "c4"] if "p0" in order else ["c0", "c1", "c2", "c3", "c4"])
    assert shown == sorted(shown, reverse=order in ("", "&o=-2", "&q=title"))
    back, _ = follow(staff, "Previous", last)
    assert " ".join(back[::-1]).split() == shown
    assert follow(staff, "First", last)[0] == [forward[-1], forward[0]]
    assert follow(staff, "Last", f"?{order}")[0] == [forward[0], " ".join(shown[-2:])]


@pytest.mark.usefixtures("_long_list")
@pytest.mark.parametrize(
    ("page", "card_ids"),
    [
        ("after-{c2}", ["c1", "c0"]),
        ("before-{c2}", ["c4", "c3"]),
        ("after-{c0}", ["c1", "c0"]),
        ("before-{c4}", ["c4", "c3"]),
        ("after-x", ["c4", "c3"]),
        ("after-99999999999999999999", ["c4", "c3"]),
        ("after-%00", ["c4", "c3"]),
        ("-", ["c4", "c3"]),
    ],
)
@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_page_beside_any_key_shows_rows(
    staff: Client, page: str, card_ids: list[str], is_deleted: bool
) -> None:
    keys = dict(Card.objects.values_list("card_id", "pk"))
    if is_deleted:
        Card.objects.filter(card_id="c2").delete()
    assert list_cards(staff, f"?p={page.format(**keys)}")[0] == card_ids


def test_a_search_scans_the_table_once_and_counts_nothing(staff: Client, rows: dict[str, int]) -> None:
    with CaptureQueriesContext(connection) as queries:
        staff.get(reverse("admin:cards_card_changelist") + "?q=real")
    assert len([q for q in queries if " LIKE " in q["sql"]]) == 1
    assert not [q for q in queries if "COUNT(" in q["sql"]]


def test_a_card_with_another_picture_is_rendered_by_the_workers(staff: Client, rows: dict[str, int]) -> None:
    save_change_form(staff, "card", rows["card"], title="Reina")
    assert not Run.objects.exists()
    save_change_form(staff, "card", rows["card"], image="aves/reina.webp")
    run = Run.objects.get()
    assert (run.operation, run.performed_by, run.total) == ("render_thumbnails", "ada", 1)


def test_a_new_place_of_a_rule_renders_nothing(staff: Client, rows: dict[str, int]) -> None:
    Card.objects.update(image="aves/reina.webp")
    save_change_form(staff, "presentationrule", rows["presentationrule"], sort_order="7")
    assert not Run.objects.exists()


def test_a_new_colour_of_a_rule_renders_its_cards_again(staff: Client, rows: dict[str, int]) -> None:
    Card.objects.update(image="aves/reina.webp")
    save_change_form(staff, "presentationrule", rows["presentationrule"], frame_color="#123456")
    assert Run.objects.get().operation == "render_thumbnails"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rarity": {"old": "common", "new": "rare"}}, "rarity common → rare"),
        ({"rarity": {"from": "rare"}}, "rarity {&quot;from&quot;: &quot;rare&quot;}"),
        ({"count": 2}, "count 2"),
        ([1], "[1]"),
    ],
)
def test_the_audit_log_shows_changes_in_any_format(staff: Client, changes: object, text: str) -> None:
    AuditLog.objects.create(action="a", object_type="t", object_id="1", performed_by="p", changes=changes)
    assert text in page_text(staff.get(reverse("admin:ops_auditlog_changelist")))
