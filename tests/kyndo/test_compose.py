"""docker-compose.yml, as far as it can be checked without Docker."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from django_rq.workers import get_worker_class
from rq import Worker
from rq.utils import utcformat

from kyndo.env_validation import PRODUCTION_VARIABLES, REQUIRED_VARIABLES
from ops.queue.liveness import heartbeat_timeout
from ops.workers.worker import RunWorker
from tests.conftest import Manage

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_services_are_servers_site_worker_and_migrations(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "valkey", "migrate", "web", "worker"}


@pytest.mark.parametrize("name", ["postgres", "valkey", "web", "worker"])
def test_what_stays_up_is_watched(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_what_production_requires_is_set(compose: dict[str, Any], name: str) -> None:
    assert {*REQUIRED_VARIABLES, *PRODUCTION_VARIABLES} <= set(compose["services"][name]["environment"])


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"\$\{(SECRET_KEY|ADMIN_KEY|\w*PASSWORD)(.)", text)
    assert secrets
    assert {follows for _, follows in secrets} == {":"}
    assert not re.findall(r"\$\{(?:SECRET_KEY|ADMIN_KEY|\w*PASSWORD):-", text)


def test_ports_are_open_to_this_machine_only_by_default(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published == ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]


def test_a_worker_can_be_scaled(compose: dict[str, Any]) -> None:
    assert not {"container_name", "ports"} & set(compose["services"]["worker"])


def test_a_worker_has_time_to_finish_its_batch(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert worker["command"] == ["python", "manage.py", "rqworker", "default"]
    assert get_worker_class() is RunWorker  # by the settings, without a flag
    assert worker["stop_grace_period"] == "1m"


@pytest.mark.django_db(transaction=True)
def test_the_healthcheck_finds_a_live_worker_of_its_own_host(
    compose: dict[str, Any], manage: Manage, redis_server: "redis.Redis"
) -> None:
    first, *check = compose["services"]["worker"]["healthcheck"]["test"]
    assert (first, *check[:2]) == ("CMD", "python", "manage.py")
    assert manage(*check[2:]).returncode == 1
    worker = Worker(["default"], connection=redis_server)
    worker.register_birth()
    assert manage(*check[2:]).returncode == 0
    long_ago = utcformat(datetime.now(UTC) - 2 * heartbeat_timeout())  # type: ignore[no-untyped-call]
    redis_server.hset(worker.key, "last_heartbeat", long_ago)
    assert manage(*check[2:]).returncode == 1


def test_every_optional_setting_reaches_the_containers(compose: dict[str, Any]) -> None:
    documented = (ROOT / ".env.example").read_text().partition("Optional")[2]
    image = set(
        re.findall(r"(\w+)=", (ROOT / "Dockerfile").read_text())
    )  # folders, which the volumes are for
    optional = set(re.findall(r"^#(\w+)=", documented, re.MULTILINE)) - image - {"DEBUG", "PG_BIN"}
    environment = compose["services"]["worker"]["environment"]
    assert optional <= set(environment)
    passed_on = {None, "${LOG_LEVEL:-INFO}", "${MANAGE_COMMAND:-docker compose exec web python manage.py}"}
    assert {environment[name] for name in optional} == passed_on


def test_every_setting_is_documented() -> None:
    read = re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "kyndo" / "settings.py").read_text())
    documented = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert "FOLLOW_UP_WORKERS" in read
    assert set(read) <= documented


def test_every_variable_of_the_containers_is_documented(compose: dict[str, Any]) -> None:
    variables = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())) - {"BIND", "PORT"}
    variables |= set(compose["services"]["worker"]["environment"])
    documented = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert variables <= documented
