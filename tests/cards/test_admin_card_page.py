"""The page of a card: its preview, what it offers to choose from, and the upload of its picture."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from cards.admin import card_form
from cards.models import Card, PresentationRule
from ops.models import AuditLog, Run
from tests.admin_pages import page_text
from tests.forms import fetch_change_form_fields, parse_form_fields

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rules", "redis_server")]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def card() -> Card:
    return Card.objects.create(
        card_id="a", title="A", pack_id="aves", rarity="rare", image="aves/cóndor.webp"
    )


@pytest.fixture
def media(settings: Any) -> Path:
    return Path(settings.MEDIA_ROOT)


def change_url(card: Card) -> str:
    return f"/admin/cards/card/{card.pk}/change/"


def picture(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 40), "red").save(buffer, kind)
    return buffer.getvalue()


def upload(staff: Client, card: Card, content: bytes, name: str = "new.png", **values: str) -> Any:
    data: dict[str, Any] = fetch_change_form_fields(staff, change_url(card))
    data |= {"upload": SimpleUploadedFile(name, content), **values}
    return staff.post(change_url(card), data)


def stored_files(media: Path) -> list[str]:
    return sorted(path.name for path in media.rglob("*") if path.is_file())


def test_the_preview_shows_the_picture_under_its_rule(staff: Client, card: Card) -> None:
    PresentationRule.objects.filter(rarity="rare").update(glow_effect=True, badge_icon="diamond")
    page = staff.get(change_url(card)).content.decode()
    assert 'src="/media/aves/c%C3%B3ndor.webp"' in page
    assert 'style="--frame:#CCCCCC" data-rule="yes" data-glow="yes" data-icon="diamond"' in page
    assert '"rare": {"color": "#CCCCCC", "glow": true, "badge": "diamond"}' in page


def test_the_preview_loads_nothing_from_another_site(staff: Client, card: Card) -> None:
    Card.objects.update(image="https://example.com/a.webp")
    page = staff.get(change_url(card))
    assert 'src="https://' not in page.content.decode()
    assert "The picture is on another site and is not shown here." in page_text(page)


def test_the_preview_says_that_players_see_an_older_thumbnail(staff: Client, card: Card) -> None:
    text = "The thumbnail that players see is not like this yet: it will be drawn again."
    assert text in page_text(staff.get(change_url(card)))
    Card.objects.update(image="")
    assert text not in page_text(staff.get(change_url(card)))


def test_tags_are_told_apart_where_nothing_may_be_changed(client: Client, card: Card) -> None:
    Card.objects.update(tags=["a, b", "<c>"])
    viewer = User.objects.create_user("eva", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_card"))
    client.force_login(viewer)
    page = client.get(change_url(card)).content.decode()
    assert '<li class="ops-chip">a, b</li><li class="ops-chip">&lt;c&gt;</li>' in page
    assert 'name="upload"' not in page


def test_the_packs_that_exist_are_offered(staff: Client, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, pack in enumerate(("peces", "aves", "mamíferos")):
        Card.objects.create(card_id=f"b{number}", title="B", pack_id=pack)
    page = staff.get(change_url(card)).content.decode()
    options = '<option value="aves"><option value="mamíferos"><option value="peces"></datalist>'
    assert options in page
    monkeypatch.setattr(card_form, "_MAX_OFFERED_PACKS", 2)
    page_of_many = staff.get(change_url(card))
    assert '<option value="peces">' not in page_of_many.content.decode()
    assert "The first 2 packs are offered; any other can be typed." in page_text(page_of_many)


def test_a_new_pack_is_saved_with_a_warning(staff: Client, card: Card) -> None:
    data = fetch_change_form_fields(staff, change_url(card)) | {"pack_id": "avess"}
    page = staff.post(change_url(card), data, follow=True)
    assert "“avess” is a new pack: no other card is in it." in page_text(page)
    assert Card.objects.get().pack_id == "avess"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF"])
def test_an_uploaded_picture_is_stored_by_its_content(
    staff: Client, card: Card, media: Path, kind: str
) -> None:
    default_storage.save(card.image, ContentFile(b"old"))
    content = picture(kind)
    assert upload(staff, card, content, "../Mi cóndor.exe").status_code == 302
    card.refresh_from_db()
    suffix = ".jpg" if kind == "JPEG" else f".{kind.lower()}"
    assert card.image.startswith("packs/aves/mi-cóndor.")
    assert card.image.endswith(suffix)
    assert (media / card.image).read_bytes() == content
    assert (media / "aves/cóndor.webp").exists()
    [changes] = AuditLog.objects.values_list("changes", flat=True)
    assert changes == {"image": {"old": "aves/cóndor.webp", "new": card.image}}
    assert Run.objects.get().operation == "render_thumbnails"


def test_a_picture_of_a_new_card_is_stored(staff: Client, media: Path) -> None:
    data = {"card_id": "b", "title": "B", "rarity": "rare", "pack_id": "../p", "metadata": "{}"}
    response = staff.post("/admin/cards/card/add/", data | {"upload": SimpleUploadedFile("x", picture())})
    assert response.status_code == 302
    assert (media / Card.objects.get().image).is_file()
    assert Card.objects.get().image.startswith("packs/p/x.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "new.png is not a picture in one of the formats AVIF,",
        ),
        (picture()[:-30], "new.png is damaged"),
        (b"", "The submitted file is empty."),
        (b"x" * 2001, "new.png has 2.0\xa0KB. Upload a picture of at most"),
    ],
    ids=["svg", "damaged", "empty", "large"],
)
def test_what_is_no_picture_is_refused(
    staff: Client, card: Card, media: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(card_form, "MAX_UPLOAD_BYTES", 2000)
    page = upload(staff, card, content)
    [error] = page.context["adminform"].form.errors["upload"]
    assert error.startswith(message)
    assert Card.objects.get().image == "aves/cóndor.webp"
    assert stored_files(media) == []


def test_a_picture_is_not_stored_while_another_field_is_wrong(staff: Client, card: Card, media: Path) -> None:
    page = upload(staff, card, picture(), title="")
    assert page.context["adminform"].form.errors.keys() == {"title", "upload"}
    assert "Choose the picture again" in page_text(page)
    assert 'src="/media/aves/c%C3%B3ndor.webp"' in page.content.decode()
    assert stored_files(media) == []


def test_a_picture_that_cannot_be_stored_is_told(staff: Client, card: Card, media: Path) -> None:
    media.write_text("a file in the place of the folder")
    page = upload(staff, card, picture())
    assert "The picture cannot be stored: Not a directory. Try again." in page_text(page)
    assert Card.objects.get().image == "aves/cóndor.webp"


def test_another_picture_meanwhile_is_a_conflict_of_the_upload(
    staff: Client, card: Card, media: Path
) -> None:
    data: dict[str, Any] = fetch_change_form_fields(staff, change_url(card))
    Card.objects.update(image="theirs.webp")
    page = staff.post(change_url(card), data | {"upload": SimpleUploadedFile("x.png", picture())})
    assert "changed this value to" in page.context["adminform"].form.errors["image"][0]
    assert parse_form_fields(page, "card_form")["image"] == "aves/cóndor.webp"
    assert stored_files(media) == []
