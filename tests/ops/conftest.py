from collections.abc import Callable, Iterator

import pytest
from django.apps import apps
from django.db import connection
from django.test import TransactionTestCase

from ops import registry
from ops.operation import Operation
from ops.registry import register

Declare = Callable[[type[Operation]], type[Operation]]


@pytest.fixture(autouse=True, scope="package")
def _empty_tables_quickly() -> Iterator[None]:
    """DELETE from the few tables that trials fill: TRUNCATE of every table takes twenty times as long."""

    def teardown(self: TransactionTestCase) -> None:
        models = [m for app in ("ops", "cards", "trials") for m in apps.get_app_config(app).get_models(True)]
        emptied = "".join(f'DELETE FROM "{model._meta.db_table}";' for model in models)
        with connection.cursor() as cursor:  # as a replica: no trigger protects the audit log
            cursor.execute(
                f"SET session_replication_role = replica; {emptied} RESET session_replication_role"
            )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Register an operation until the test ends; of the same name, the newest counts."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def declare(operation: type[Operation]) -> type[Operation]:
        registry._registered.pop(operation.name, None)
        return register(operation)

    return declare


@pytest.fixture
def trigger(transactional_db: None) -> Iterator[Callable[..., None]]:
    """``trigger(table, body)``: a row trigger BEFORE UPDATE in PL/pgSQL, gone after the test."""
    made: list[str] = []

    def create(table: str, body: str, when: str = "BEFORE UPDATE") -> None:
        made.append(table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE FUNCTION trial() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
                f"CREATE TRIGGER trial {when} ON {table} FOR EACH ROW EXECUTE FUNCTION trial()"
            )

    yield create
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS trial CASCADE")
