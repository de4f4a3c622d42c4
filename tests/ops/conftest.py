from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from ops.operations import Operation, register, registry

RegisterOperation = Callable[[type[Operation]], type[Operation]]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> RegisterOperation:
    """Register an operation until the test ends; it replaces one of the same name."""
    monkeypatch.setattr(registry, "_operations", dict(registry._operations))

    def declare(operation: type[Operation]) -> type[Operation]:
        registry._operations.pop(operation.name, None)
        return register(operation)

    return declare


@pytest.fixture
def trigger(transactional_db: None) -> Iterator[Callable[..., None]]:
    """``trigger(table, body)`` makes a BEFORE UPDATE row trigger in PL/pgSQL, until the test ends."""

    def create(table: str, body: str, when: str = "BEFORE UPDATE") -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE FUNCTION trial() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
                f"CREATE TRIGGER trial {when} ON {table} FOR EACH ROW EXECUTE FUNCTION trial()"
            )

    yield create
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS trial CASCADE")
