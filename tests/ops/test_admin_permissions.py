"""Every page and every action of the admin needs a permission, and answers 403 without it."""

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from cards.models import Asset, Card, PresentationRule
from ops import permissions
from ops.models import AuditLog, Export, Failure, Run
from ops.operations import registry
from ops.operations.validation import build_operation, fingerprint

pytestmark = pytest.mark.django_db

# Greater than any key that a sequence has reached.
KEY = 10**9
# Pages without data of the catalogue or of runs: any staff user may see them.
OPEN = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "search"}
# These answer 404 without permissions; no operation declares assets.
NOT_FOUND = {"app_list", "view_on_site", "autocomplete", "cards_asset_operate"}


def iter_urls() -> Iterator[tuple[str, str]]:
    """Yield the name and the URL of every page of the admin, for the object whose key is KEY."""
    for url, pattern in _patterns("/admin/", admin.site.get_urls()):
        if pattern.name and pattern.name not in OPEN | NOT_FOUND:
            yield pattern.name, url


def _patterns(prefix: str, patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + _fill_route(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _patterns(route, pattern.url_patterns)
        else:
            yield route, pattern


def _fill_route(route: str) -> str:
    route = route.replace("<str:name>", "bulk_promote")
    return re.sub(r"<[a-z:_]+>", str(KEY), route)


@pytest.fixture
def one_of_each() -> None:
    User.objects.create(pk=KEY, username="eve")
    Group.objects.create(pk=KEY, name="editors")
    card = Card.objects.create(pk=KEY, card_id="cóndor", title="Cóndor", pack_id="aves")
    PresentationRule.objects.create(pk=KEY, rarity="common", frame_color="#CCCCCC", sort_order=1)
    asset = {"asset_type": "a", "file_path": "a", "file_size": 1, "mime_type": "a/b", "checksum": "ab" * 32}
    Asset.objects.create(pk=KEY, asset_key="a", card=card, **asset)
    declared = registry.get_operation("backfill_rarity_v2")
    values = {
        "operation": declared.name,
        "model": "cards.card",
        "columns": ["rarity_v2"],
        "version": fingerprint(build_operation(declared, {}, timezone.now())),
    }
    Run.objects.create(pk=KEY, **values, as_of=timezone.now(), performed_by="ada", total=0)
    Export.objects.create(pk=KEY, asked={}, performed_by="ada")
    AuditLog.objects.create(
        pk=KEY, action="a", object_type="cards.card", object_id="1", performed_by="ada", changes={}
    )


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    return client


def permit(*codenames: str) -> None:
    permitted = Permission.objects.filter(codename__in=codenames)
    assert len(permitted) == len(codenames)
    User.objects.get(username="bob").user_permissions.set(permitted)


@pytest.mark.usefixtures("one_of_each")
def test_without_permissions_every_page_is_forbidden_for_get_and_post(staff: Client) -> None:
    pages = [(name, f"{url}?across=1") for name, url in iter_urls()]
    assert {"cards_card_operate", "ops_run_live", "ops_run_pause", "ops_run_revert"} < dict(pages).keys()
    assert {"cards_card_export", "ops_export_change", "ops_export_cancel", "ops_export_files"} < dict(
        pages
    ).keys()
    statuses = {
        (method, name): getattr(staff, method)(page).status_code
        for name, page in pages
        for method in ("get", "post")
    }
    assert {request: status for request, status in statuses.items() if status != 403} == {}


@pytest.mark.usefixtures("one_of_each")
def test_every_page_redirects_anonymous_users_to_the_login(client: Client) -> None:
    public = {name for name, url in iter_urls() if "/admin/login/" not in client.get(url).headers["Location"]}
    assert public == set()


@pytest.mark.usefixtures("one_of_each")
def test_without_permissions_no_page_names_a_model_or_a_row(staff: Client) -> None:
    for url in ("/admin/", "/admin/search/?s=card"):
        page = staff.get(url).content.decode()
        assert "Presentation rules" not in page
        assert "cóndor" not in page


@pytest.mark.usefixtures("one_of_each")
def test_viewing_cards_does_not_permit_other_operations(staff: Client) -> None:
    permit("view_card", "run_backfill_rarity_v2")
    page = staff.get("/admin/cards/card/")
    assert page.status_code == 200
    assert [name for name, _ in page.context["action_form"].fields["action"].choices if name] == [
        "backfill_rarity_v2"
    ]
    response = staff.post("/admin/cards/card/", {"action": "bulk_promote", "_selected_action": KEY})
    assert response.status_code == 403
    assert staff.get("/admin/cards/card/operate/bulk_promote/?across=1").status_code == 403
    assert staff.post("/admin/cards/card/operate/bulk_promote/?across=1").status_code == 403


@pytest.mark.usefixtures("one_of_each")
def test_running_an_operation_needs_the_permission_to_view_cards(staff: Client) -> None:
    permit("run_backfill_rarity_v2")
    assert staff.get("/admin/cards/card/operate/backfill_rarity_v2/?across=1").status_code == 403
    assert staff.post("/admin/cards/card/operate/backfill_rarity_v2/?across=1").status_code == 403


@pytest.mark.usefixtures("one_of_each")
@pytest.mark.parametrize("verb", permissions.CONTROL_VERBS)
def test_each_control_of_a_run_has_its_own_permission(staff: Client, verb: str) -> None:
    permit("view_run", *(f"{other}_run" for other in permissions.CONTROL_VERBS if other != verb))
    page = staff.get(f"/admin/ops/run/{KEY}/change/")
    assert f"/{KEY}/{verb}/" not in page.content.decode()
    assert staff.post(f"/admin/ops/run/{KEY}/{verb}/").status_code == 403
    assert Run.objects.get().state == "queued"


@pytest.mark.usefixtures("one_of_each")
def test_a_retry_needs_the_permission_of_the_operation_that_it_starts(staff: Client) -> None:
    Run.objects.update(state="failed")
    Failure.objects.create(run_id=KEY, object_id=str(KEY), error="no")
    permit("view_run", "retry_run")
    assert "/retry/" not in staff.get(f"/admin/ops/run/{KEY}/change/").content.decode()
    assert staff.post(f"/admin/ops/run/{KEY}/retry/").status_code == 403
    permit("view_run", "retry_run", "run_backfill_rarity_v2")
    assert "/retry/" in staff.get(f"/admin/ops/run/{KEY}/change/").content.decode()


@pytest.mark.usefixtures("one_of_each")
@pytest.mark.parametrize("codenames", [("view_card", "view_export", "run_bulk_promote"), ("export_data",)])
def test_exporting_cards_needs_the_export_and_the_view_permission(
    staff: Client, codenames: tuple[str, ...]
) -> None:
    permit(*codenames)
    data = {"action": "export", "_selected_action": KEY}
    assert staff.post("/admin/cards/card/", data).status_code == 403
    assert staff.get("/admin/cards/card/export/?across=1").status_code == 403
    assert staff.post("/admin/cards/card/export/?across=1", {"format": "json"}).status_code == 403
    assert staff.get("/admin/ops/export/").status_code == (200 if codenames == ("export_data",) else 403)
    assert Export.objects.count() == 1


def test_every_operation_and_every_control_has_a_permission() -> None:
    expected = [permissions.run_permission(operation) for operation in registry.list_operations()]
    expected += [
        *map(permissions.control_permission, permissions.CONTROL_VERBS),
        permissions.EXPORT_PERMISSION,
    ]
    existing = Permission.objects.filter(content_type__app_label="ops").values_list("codename", flat=True)
    assert set(expected) <= {f"ops.{codename}" for codename in existing}
