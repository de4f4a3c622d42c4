from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from ops import registry
from ops.operation import Operation
from ops.registry import register

Declare = Callable[[type[Operation]], type[Operation]]


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
