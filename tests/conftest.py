"""What every test may ask for. The servers come from the plugin `tests.services`."""

import os
from collections.abc import Iterator
from itertools import islice

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as examples

from tests.manage import ROOT, Manage

__all__ = ["ROOT", "Manage"]

# How many examples Hypothesis tries where a test does not say: few in the suite, many in `make chaos`.
# A machine that is busy is no fault of the examples.
examples.register_profile("suite", max_examples=25, suppress_health_check=[HealthCheck.too_slow])
examples.register_profile("chaos", max_examples=1_000, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("suite")


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, else one that begins last is what the others have waited for.

    ``--dist worksteal`` deals the tests out in as many stretches as there are workers.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    rest = iter([item for item in items if item not in long])
    workers, dealt = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), []
    for worker in range(workers):
        size = (len(items) - len(dealt)) // (workers - worker)
        mine = long[worker::workers]
        dealt += [*mine, *islice(rest, max(0, size - len(mine)))]
    items[:] = dealt


@pytest.fixture(autouse=True, scope="session")
def _empty_tables_quickly() -> Iterator[None]:
    """DELETE after a test with transactions: Django's TRUNCATE takes twenty times as long."""

    def teardown(self: TransactionTestCase) -> None:
        kept = ("contenttypes.contenttype", "auth.permission")
        models = [m for m in apps.get_models(include_auto_created=True) if m._meta.label_lower not in kept]
        emptied = "".join(f'DELETE FROM "{m._meta.db_table}";' for m in models if m._meta.managed)
        with connection.cursor() as cursor:  # as a replica: no trigger protects the audit log
            cursor.execute(
                f"SET session_replication_role = replica; {emptied} RESET session_replication_role"
            )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture
def manage(transactional_db: None) -> Manage:
    """``manage("runs", "show", 1)``: see `Manage`. What the test saved is there for the command to see."""
    return Manage()


@pytest.fixture
def redis_server() -> Iterator["redis.Redis"]:
    """The worker's own Redis database, empty before and after."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()
