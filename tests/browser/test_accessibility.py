"""axe-core finds nothing serious on the pages, in light and dark."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import LazySettings
from playwright.sync_api import Page
from redis import Redis

from cards.models import Card, PresentationRule
from ops.models import AuditLog, Origin
from ops.operations import registry
from ops.sql.dual_write import dual_writes_off
from tests.ops.running import create_run, execute_operation

pytestmark = pytest.mark.long

CONFIRMATION = (
    "/admin/cards/card/operate/bulk_promote/?across=1&with-from_rarity=rare&with-to_rarity=epic&answered=1"
)


@pytest.fixture
def paths(transactional_db: None, redis_server: Redis, settings: LazySettings) -> list[str]:
    """Fill the catalogue, and return the paths of the pages that people use most."""
    for order, (rarity, color) in enumerate(
        (("common", "#9AA0A6"), ("rare", "#4A90E2"), ("epic", "#8E44AD"))
    ):
        PresentationRule.objects.create(rarity=rarity, frame_color=color, sort_order=order)
    card = Card.objects.create(
        card_id="condor", title="Cóndor", pack_id="andes", tags=["ave", "grande"], metadata={"peso": 1.50}
    )
    for number in range(3):
        Card.objects.create(card_id=f"card-{number}", title=f"Card {number}", pack_id="p", rarity="rare")
    with dual_writes_off():
        Card.objects.filter(pk=card.pk).update(rarity_v2=None)
    run = execute_operation(registry.get_operation("backfill_rarity_v2"))
    row = AuditLog.objects.filter(run=run)[0]
    settings.OPS_APPROVAL_ROWS = 1
    params = {"from_rarity": "rare", "to_rarity": "epic"}
    promote = registry.get_operation("bulk_promote")
    waiting = create_run(promote, params=params, origin=Origin.ADMIN)
    return [
        "/admin/",
        "/admin/cards/card/",
        "/admin/cards/card/?layout=grid",
        "/admin/cards/card/?q=nothing-like-this",
        "/admin/cards/card/?rarity__exact=rare",
        "/admin/cards/card/sheet/",
        "/admin/cards/card/changeset/",
        f"/admin/cards/card/{card.pk}/change/",
        f"/admin/cards/card/{card.pk}/history/",
        CONFIRMATION,
        "/admin/cards/presentationrule/",
        f"/admin/cards/presentationrule/{PresentationRule.objects.all()[0].pk}/change/",
        "/admin/cards/asset/",
        "/admin/ops/run/",
        f"/admin/ops/run/{run.pk}/change/",
        f"/admin/ops/run/{run.pk}/revert/",
        f"/admin/ops/run/{run.pk}/changes/",
        "/admin/queue/",
        "/admin/approvals/",
        f"/admin/ops/run/{waiting.pk}/change/",
        "/admin/ops/auditlog/",
        f"/admin/ops/auditlog/{row.pk}/change/",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    page: Page, paths: list[str], scheme: Literal["light", "dark"], request: pytest.FixtureRequest
) -> None:
    """In the dark every other page; all of them in `make chaos`."""
    if scheme == "dark" and not request.config.getoption("--chaos", default=False):
        paths = paths[::2]
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = {}
    for path in paths:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found[path, violation["id"]] = [node["html"] for node in violation["nodes"]]
    assert found == {}
