"""JSON as PostgreSQL keeps and writes it, each digit of its numbers included: Python's floats lose some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Func, JSONField, Model, TextField, Value
from django.db.models.functions import Cast

from ops.exceptions import InvalidContent
from ops.sqlstates import sqlstate

# Program limits: nested deeper than the server's stack allows.
_STATEMENT_TOO_COMPLEX = "54001"


class JsonbPretty(Func):
    """A JSON column, or text that is to be one, as text with an indent."""

    function = "jsonb_pretty"
    output_field = TextField()


def read_pretty_columns(row: Model, names: Iterable[str]) -> dict[str, str | None]:
    """What the row's JSON columns hold now; None is SQL NULL."""
    chosen = {f"{name}_": JsonbPretty(name) for name in names}
    if not chosen:
        return {}
    found = type(row)._base_manager.filter(pk=row.pk).values(**chosen).get()
    return {name.removesuffix("_"): found[name] for name in chosen}


def normalize_json(text: str) -> str:
    """The text as a JSON column would hold it. Raises BadContent where it would not."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT jsonb_pretty(%s::jsonb)", [text])
            return str(cursor.fetchone()[0])
    except DataError as exc:
        raise InvalidContent(str(exc).partition("\nCONTEXT")[0].replace("\n", ". ")) from exc
    except OperationalError as exc:
        if sqlstate(exc) != _STATEMENT_TOO_COMPLEX:
            raise
        raise InvalidContent("it is nested too deeply") from exc


def json_expression(text: str) -> Any:
    """The text for a JSON column of a row that is to be saved."""
    return Cast(Value(text, output_field=TextField()), JSONField())
