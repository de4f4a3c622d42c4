"""/healthz: the response to a probe, wherever it comes from."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from ops.http import health
from tests.ops.running import hide_tables

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _one_migration_unapplied() -> Iterator[None]:
    row = MigrationRecorder.Migration.objects.filter(app="ops").latest("id")
    row.delete()
    yield
    row.save(force_insert=True)


def test_a_healthy_site_responds_with_ok(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.json() == {"status": "ok", "database": "ok", "migrations": "applied"}


@pytest.mark.usefixtures("_one_migration_unapplied")
def test_an_unapplied_migration_is_counted(client: Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "ok", "migrations": "1 not applied"}


def test_a_missing_table_of_an_applied_migration_is_counted(client: Client) -> None:
    with hide_tables("ops_claim"):
        response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "database": "1 table missing",
        "migrations": "applied",
    }


def test_an_unavailable_database_is_reported_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "cannot be used"}


def test_frequent_probes_share_one_check(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_CACHE_SECONDS", 3600.0)
    assert client.get("/healthz").status_code == 200
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")
    assert client.get("/healthz").status_code == 200
    assert Client().get("/healthz").status_code == 503  # another process of the site


def test_a_probe_needs_no_host_name_and_is_not_sent_to_https(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    internal = Client(headers={"host": "10.1.2.3:8000"})
    assert internal.get("/healthz").status_code == 200
    assert internal.get("/admin/").status_code == 400
    assert Client().get("/admin/").status_code == 301
    assert Client().get("/metrics").status_code == 401
