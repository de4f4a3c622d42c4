"""The start page of the admin: its panels, what each shows, and what it says where its source fails."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from redis import Redis

from cards.models import Card, PresentationRule
from ops.admin.dashboard import dashboard
from ops.admin.dashboard.dashboard import Panel
from ops.backups import manifest
from ops.exceptions import TooManyFailures
from ops.models import Backup, Export, ExportState, Run
from ops.queue.enqueue import enqueue_missing_jobs
from ops.session import database_name
from ops.sql import counts
from ops.states import State
from tests.admin_pages import page_text

pytestmark = pytest.mark.django_db

ALL = ["running", "failed", "rarities", "queue", "backup", "preflight", "column_changes", "statements"]


@pytest.fixture
def staff(client: Client, redis_server: "Redis") -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def read(staff: Client, name: str) -> str:
    page = staff.get(f"/admin/dashboard/{name}/")
    assert page.status_code == 200
    return page_text(page)


def list_shown(client: Client) -> list[str]:
    return re.findall(r'data-url="/admin/dashboard/(\w+)/"', client.get("/admin/").content.decode())


def create_run(state: State, **values: object) -> Run:
    fields = {"operation": "bulk_promote", "model": "cards.card", "columns": ["rarity"], "version": "1"}
    return Run.objects.create(
        **{**fields, "as_of": timezone.now(), "performed_by": "bob", "total": 100, "state": state, **values}
    )


def test_the_page_itself_reads_no_source(
    staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(6):  # the session, which is stored again, the user, the menu
        assert list_shown(staff) == ALL


def test_a_user_is_shown_only_the_panels_that_they_may_see(client: Client) -> None:
    bob = User.objects.create_user("bob", is_staff=True)
    client.force_login(bob)
    assert "no permission to see cards, runs or the server" in page_text(client.get("/admin/"))
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_run", "view_backup"]))
    assert list_shown(client) == ["running", "failed", "backup"]


def test_cards_are_counted_by_rarity_in_the_order_of_the_rules(staff: Client) -> None:
    for number, rarity in enumerate(["common", "epic"]):
        PresentationRule.objects.create(rarity=rarity, frame_color="#112233", sort_order=number)
    rarities = ["epic", "common", "common", "mythic"]
    Card.objects.bulk_create(
        Card(card_id=str(n), title="x", pack_id="p", rarity=rarity) for n, rarity in enumerate(rarities)
    )
    assert read(staff, "rarities").endswith("common 2 50.0 % epic 1 25.0 % mythic no rule 1 25.0 %")


def test_a_large_table_is_estimated(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Card.objects.bulk_create(
        Card(card_id=str(n), title="x", pack_id="p", rarity="rare" if n % 4 else "epic") for n in range(200)
    )
    monkeypatch.setattr(counts, "_MAX_COUNTED", 50)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE cards")
    text = read(staff, "rarities")
    assert "rare no rule about 150 75.0 %" in text
    assert "epic no rule about 50 25.0 %" in text
    assert "Estimated" in text


def test_a_rarity_that_the_statistics_do_not_know_is_not_called_none(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    PresentationRule.objects.create(rarity="mythic", frame_color="#112233", sort_order=1)
    Card.objects.bulk_create(Card(card_id=str(n), title="x", pack_id="p", rarity="rare") for n in range(20))
    monkeypatch.setattr(counts, "_MAX_COUNTED", 10)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE cards")
    assert "mythic few or none rare" in read(staff, "rarities")


def test_runs_under_way_are_shown_with_their_progress(staff: Client) -> None:
    assert "Nothing is under way." in read(staff, "running")
    run = create_run(State.RUNNING, started_at=timezone.now(), working_since=timezone.now())
    run.lanes.create(number=0, changed=40, heartbeat_at=timezone.now())
    assert f"Run {run.pk} Bulk promote running by bob 40 % 40 of 100 cards" in read(staff, "running")


@pytest.mark.parametrize(("state", "is_shown"), [(State.SUCCEEDED, False), (State.RUNNING, True)])
def test_a_failure_is_shown_until_its_retry_succeeded(staff: Client, state: State, is_shown: bool) -> None:
    failed = create_run(State.FINISHED_WITH_FAILURES, finished_at=timezone.now())
    scope = {"filter": {}, "keys": True, "retries": failed.pk}
    create_run(state, scope=scope, finished_at=timezone.now())
    assert ("Nothing failed" not in read(staff, "failed")) is is_shown


def test_what_failed_since_yesterday_says_why_without_commands(staff: Client) -> None:
    assert "Nothing failed since yesterday." in read(staff, "failed")
    error = {"error": "TooManyFailures: 3 rows failed; manage.py", "error_code": TooManyFailures.code}
    now = timezone.now()
    create_run(State.FAILED, finished_at=now, max_failures=2, **error)
    create_run(State.FAILED, finished_at=now - timedelta(days=2), operation="of_old")
    text = read(staff, "failed")
    assert "More cards failed than this run allows (2), so it stopped." in text
    assert "manage.py" not in text
    assert "Of old" not in text


def test_exports_are_shown_beside_the_runs(staff: Client) -> None:
    values = {"asked": {}, "performed_by": "bob", "total": 10, "rows": 4}
    going = Export.objects.create(**values, state=ExportState.RUNNING)
    error = "The disk is full.\nTo see it: df"
    Export.objects.create(**values, state=ExportState.FAILED, error=error, finished_at=timezone.now())
    assert f"Export {going.pk} running by bob 40 % 4 of 10 rows" in read(staff, "running")
    assert read(staff, "failed").endswith("The disk is full.")


def test_the_queue_says_that_no_worker_answers(staff: Client, redis_server: "Redis") -> None:
    enqueue_missing_jobs("run", 1, 2)
    text = read(staff, "queue")
    assert "Workers 0 Waiting 2 Under way 0 Failed jobs 0" in text
    assert "No worker answers" in text


def test_a_stopped_redis_is_told_in_its_panel(staff: Client, settings: Settings) -> None:
    settings.RQ_QUEUES = {"default": {"URL": "redis://:hidden@127.0.0.1:9/0"}}
    text = read(staff, "queue")
    assert text.startswith("Redis, which holds the queue, does not answer.")
    assert "hidden" not in text
    assert "Nothing is under way." in read(staff, "running")


def test_a_slow_or_refused_query_is_told_in_its_panel(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_TIMEOUT", timedelta(milliseconds=50))
    statements = {"slow": "SELECT pg_sleep(20)", "refused": "SELECT 1 FROM nowhere"}
    answers = {}
    for name, statement in statements.items():

        def query(request: object, statement: str = statement) -> dict[str, object]:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            return {}

        panel = Panel("backup", "Title", "x.html", "ops.view_backup", query, position=1)
        request = staff.get("/admin/").wsgi_request
        answers[name] = page_text(dashboard.panel_view(request, panel))
    assert "so it was stopped. The database is busy." in answers["slow"]
    assert answers["refused"] == "The database refused to tell. The log of the site has its reason."


def test_the_backup_is_shown_with_its_age(staff: Client, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUP_DIR = tmp_path
    assert "No backup was ever restored to verify it" in read(staff, "backup")
    for name, days in {"old.dump": 3, "new.dump": 1}.items():
        (tmp_path / name).write_text("x")
        taken = timezone.now() - timedelta(days=days)
        values = {"server_version": "18.0", "program_version": "18.0", "counts": {}, "sha256": "0"}
        backup = Backup(path=str(tmp_path / name), database=database_name(), size=1, **values)
        backup.started_at, backup.duration = taken, timedelta(seconds=1)
        backup.verified_at = taken if name == "old.dump" else None
        manifest.write_manifest(backup)
    text = read(staff, "backup")
    assert "72 h old too old" in text
    assert "A newer one, new.dump, 24 h old, is not verified or is gone." in text
    (tmp_path / "new.dump.json").unlink()
    assert "A newer one" not in read(staff, "backup")


def test_preflight_shows_its_reds_and_asks_nothing(staff: Client, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUP_DIR = tmp_path
    text = read(staff, "preflight")
    assert "backup There is no backup." in text
    assert "rollback plan" not in text


def test_each_column_change_shows_its_next_step(staff: Client) -> None:
    text = read(staff, "column_changes")
    assert "rarity → rarity_v2 of cards" in text


def test_without_the_extension_the_panel_says_how_to_get_it(staff: Client) -> None:
    text = read(staff, "statements")
    assert "pg_stat_statements" in text
    assert "To see here which statements take the most time:" in text
