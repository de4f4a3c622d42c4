"""Fixtures and hooks for all tests. The servers are started by the plugin `tests.services`."""

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

from ops.column_changes.readers import clear_answers
from tests.manage import ROOT, Manage

__all__ = ["ROOT", "Manage"]

# The default number of Hypothesis examples: few in the suite, many in `make chaos`.
# A busy machine must not fail them for being slow.
examples.register_profile("suite", max_examples=25, suppress_health_check=[HealthCheck.too_slow])
examples.register_profile("chaos", max_examples=1_000, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("suite")


@pytest.hookimpl(trylast=True)  # after pytest-randomly has shuffled them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first in each worker's share, so that the suite does not end with one.

    ``--dist worksteal`` gives each worker a contiguous share of the tests.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    rest = iter([item for item in items if item not in long])
    workers, dealt = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), []
    for worker in range(workers):
        size = (len(items) - len(dealt)) // (workers - worker)
        first = long[worker::workers]
        dealt += [*first, *islice(rest, max(0, size - len(first)))]
    items[:] = dealt


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("chaos") and not item.config.getoption("--chaos", default=False):
        pytest.skip("takes half a minute: make chaos")


# The functions of triggers stay behind when a test drops its table.
_DROP_UNUSED_FUNCTIONS_SQL = r"""
DO $$ DECLARE unused regprocedure; BEGIN
    FOR unused IN SELECT oid FROM pg_proc
        WHERE (proname LIKE 'dual\_write\_%' OR proname LIKE 'column\_watch\_%')  -- by the index
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = pg_proc.oid)
    LOOP EXECUTE format('DROP FUNCTION %s', unused); END LOOP;
END $$;
"""


@pytest.fixture(autouse=True, scope="session")
def _empty_tables_quickly() -> Iterator[None]:
    """Empty the tables by DELETE after a TransactionTestCase: TRUNCATE takes twenty times as long."""

    def teardown(self: TransactionTestCase) -> None:
        kept = ("contenttypes.contenttype", "auth.permission")
        models = [m for m in apps.get_models(include_auto_created=True) if m._meta.label_lower not in kept]
        deletes = "".join(f'DELETE FROM "{m._meta.db_table}";' for m in models if m._meta.managed)
        with connection.cursor() as cursor:  # as a replica, so that the triggers of the audit log do not fire
            cursor.execute(
                f"SET session_replication_role = replica; {deletes} RESET session_replication_role;"
                + _DROP_UNUSED_FUNCTIONS_SQL
            )
        clear_answers()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture
def manage(transactional_db: None) -> Manage:
    """Return a `Manage`: ``manage("runs", "show", 1)``. Commands see what the test has saved."""
    return Manage()


@pytest.fixture
def redis_server() -> Iterator["redis.Redis"]:
    """Return a client of the pytest worker's own Redis database, empty before and after the test."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()
