"""JSON as text that PostgreSQL reads and writes, with every digit: Python's floats would lose some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Func, JSONField, Model, TextField, Value
from django.db.models.functions import Cast

from ops.exceptions import InvalidContent
from ops.sqlstates import error_message, sqlstate

# JSON nested deeper than the server's stack allows.
_STATEMENT_TOO_COMPLEX = "54001"


class JsonbPretty(Func):
    """``jsonb_pretty``: a JSON value as indented text."""

    function = "jsonb_pretty"
    output_field = TextField()


def read_pretty_columns(row: Model, names: Iterable[str]) -> dict[str, str | None]:
    """Read the named JSON columns of the row from the database, as indented text; None is SQL NULL."""
    expressions = {f"{name}_": JsonbPretty(name) for name in names}
    if not expressions:
        return {}
    values = type(row)._base_manager.filter(pk=row.pk).values(**expressions).get()
    return {name.removesuffix("_"): values[name] for name in expressions}


def normalize_json(text: str) -> str:
    """Return the text as a jsonb column stores it, indented. Raises InvalidContent if it is not valid."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT jsonb_pretty(%s::jsonb)", [text])
            return str(cursor.fetchone()[0])
    except DataError as exc:
        raise InvalidContent(error_message(exc)) from exc
    except OperationalError as exc:
        if sqlstate(exc) != _STATEMENT_TOO_COMPLEX:
            raise
        raise InvalidContent("it is nested too deeply") from exc


def json_expression(text: str) -> Any:
    """Return an expression that saves the text into a JSON column as it is."""
    return Cast(Value(text, output_field=TextField()), JSONField())
