import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from cards.models import Asset, Card, PresentationRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def rows() -> dict[str, int]:
    card = Card.objects.create(card_id="águila-real", title="Águila real", pack_id="aves", tags=["a"])
    rule = PresentationRule.objects.create(rarity="common", frame_color="#CCCCCC", sort_order=1)
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
def test_staff_can_list_search_open_and_add_every_kind(
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


def test_a_form_tells_what_the_database_would_refuse(staff: Client) -> None:
    data = {"card_id": "two words", "title": "T", "rarity": "common", "pack_id": "p", "metadata": "[1]"}
    page = staff.post(reverse("admin:cards_card_add"), data).content.decode()
    assert "A card id holds no spaces." in page
    assert "metadata must be a JSON object" in page
    assert not Card.objects.exists()
