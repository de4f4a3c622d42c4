"""The command palette: it leads to what its user may see, at the cost of one search."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cards.models import Card
from ops.models import Run
from tests.cards.test_search import count_rows_read
from tests.ops.running import execute_sql

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def run() -> Run:
    return Run.objects.create(
        operation="bulk_promote", model="cards.card", columns=[], version="v", total=0, as_of=timezone.now()
    )


def find(client: Client, term: str) -> dict[str, str]:
    """Return where the palette leads to, by title."""
    content = client.get("/admin/search/", {"s": term, "extended": "1"}).content.decode()
    return {title: link for link, title in re.findall(r'href="([^"]*)"\s+data-title="([^"]*)"', content)}


def test_it_leads_to_pages(staff: Client) -> None:
    assert find(staff, "RUNS") == {"Runs": "/admin/ops/run/"}
    assert find(staff, "add card")["Add to cards"] == "/admin/cards/card/add/"
    assert find(staff, "queue") == {"Queue": "/admin/queue/"}
    assert find(staff, "waiting") == {"Waiting for approval": "/admin/approvals/"}
    assert find(staff, "dash") == {"Dashboard": "/admin/"}


def test_it_finds_cards_however_they_are_spelled(staff: Client) -> None:
    card = Card.objects.create(card_id="condor-1", title="Cóndor andino", pack_id="aves")
    url = f"/admin/cards/card/{card.pk}/change/"
    assert find(staff, "ANDINO condor") == find(staff, "condor-1") == {"Cóndor andino": url}


@pytest.mark.parametrize("term", ["{}", "run {}", "Run{}"])
def test_it_finds_a_run_by_its_number(staff: Client, run: Run, term: str) -> None:
    assert find(staff, term.format(run.pk)) == {f"Run {run.pk}": f"/admin/ops/run/{run.pk}/change/"}


@pytest.mark.parametrize("term", ["", " ", "nul\0", "999999", "9" * 30, "²", "c", "-1", "run x", "%"])
def test_what_is_not_there_is_not_found(staff: Client, run: Run, term: str) -> None:
    assert {link for link in find(staff, term).values() if "change" in link} == set()


def test_it_leads_nobody_where_they_may_not_go(client: Client, run: Run) -> None:
    Card.objects.create(card_id="condor", title="Cóndor", pack_id="aves")
    user = User.objects.create_user("bob", is_staff=True)
    client.force_login(user)
    assert [find(client, term) for term in ("condor", str(run.pk), "cards", "runs", "queue")] == [{}] * 5
    user.user_permissions.add(Permission.objects.get(codename="view_card"))
    assert find(client, "condor").keys() == {"Cóndor"}
    user.user_permissions.clear()
    assert find(client, "condor") == {}  # at once, since nothing is kept


@pytest.mark.parametrize(
    ("term", "found", "most"), [("loro", 5, 3_000), ("c-77", 1, 20_000), ("nix", 0, 20_000)]
)
def test_it_reads_no_more_than_a_search(staff: Client, term: str, found: int, most: int) -> None:
    execute_sql(
        "INSERT INTO cards (card_id, title, pack_id) SELECT 'c-' || n || '.', 'Loro ' || n, 'p'"
        " FROM generate_series(10000, 29999) AS n"
    )
    Card.objects.filter(card_id="c-10077.").update(card_id="c-77")
    execute_sql("ANALYZE cards, card_search")
    with CaptureQueriesContext(connection) as queries:
        assert len(find(staff, term)) == found
    [search] = [sql[sql.index("SELECT") :] for each in queries if "LIKE" in (sql := each["sql"])]
    read = count_rows_read(search)
    assert read["card_search"] <= most
    assert read["cards"] <= 3_000
