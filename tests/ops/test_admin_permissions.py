"""Single permissions, beside the roles of tests/kyndo/test_roles.py: each allows one thing, and no other."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ops import permissions
from ops.models import Export, Failure, Run
from ops.operations import registry
from tests.admin_urls import KEY, create_one_of_each

pytestmark = pytest.mark.django_db


@pytest.fixture
def one_of_each() -> None:
    create_one_of_each()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    return client


def permit(*codenames: str) -> None:
    permitted = Permission.objects.filter(codename__in=codenames)
    assert len(permitted) == len(codenames)
    User.objects.get(username="bob").user_permissions.set(permitted)


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
