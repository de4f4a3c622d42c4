"""Lists of keys: the rows that a run was asked for, changed, or failed on, one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Expression, Field, Model, QuerySet, TextField
from django.db.models.functions import Cast, Collate
from psycopg import sql

from ops.models import AuditLog, Failure, Key, Run
from ops.sql.compile import compile_select, identifier, type_name

_COLUMN = "object_id"
# So many keys are a statement of some 2 MB.
_AT_ONCE = 100_000


class Entry(Expression):
    """A column of the entry that a row is joined with."""

    def __init__(self, table: str, column: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.table, self.column = table, column

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return identifier(self.table, self.column).as_string(), []


@dataclass(frozen=True)
class KeyList:
    """The rows that belong to one run in a table which has each object once, by its key as text."""

    table: type[Key] | type[AuditLog] | type[Failure]
    run: int

    def entries(self) -> QuerySet[Any]:
        entries: QuerySet[Any] = self.table._base_manager.filter(run_id=self.run)
        return entries

    def keys(self) -> QuerySet[Any]:
        """The keys as text, in their order, which is that of text and not of the model's key."""
        return self.entries().order_by(_COLUMN).values_list(_COLUMN, flat=True)

    def typed_keys(self, model: type[Model]) -> QuerySet[Any]:
        """The keys as the model's, for ``pk__in``."""
        field = _target(model)
        key: Any = Cast(_COLUMN, field)
        if collation := _collation(field):
            key = Collate(key, collation)
        keys: QuerySet[Any] = self.entries().annotate(key_=key).values("key_")
        return keys

    def column(self, name: str, output_field: Field[Any, Any]) -> Entry:
        """A column of the entry, in a queryset that joins the list."""
        return Entry(self.table._meta.db_table, name, output_field)

    @property
    def key(self) -> Entry:
        """The key as text, in a queryset that joins the list."""
        return self.column(_COLUMN, TextField())

    def join(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that the list names, each joined with its entry, which PostgreSQL reads first.

        Entries never change, so that a row which somebody changes meanwhile keeps its own.
        """
        meta, collation = rows.model._meta, _collation(_target(rows.model))
        told = sql.SQL("{list}.run_id = %s AND {key} = {list}.{column}::{type}{collate}").format(
            list=identifier(self.table._meta.db_table),
            column=identifier(_COLUMN),
            key=identifier(meta.db_table, meta.pk.column),
            type=sql.SQL(type_name(meta.pk)),
            collate=sql.SQL(" COLLATE {}").format(identifier(collation)) if collation else sql.SQL(""),
        )
        table = self.table._meta.db_table
        return rows.extra(tables=[table], where=[told.as_string()], params=[self.run])  # noqa: S610


def store_keys(run: Run, chosen: QuerySet[Any]) -> None:
    """Make the keys that the queryset finds now those of the run: they do not pass through Python."""
    compiled = compile_select(chosen.order_by())
    if compiled is not None:
        _insert(run, sql.SQL("({}) AS chosen (key)").format(sql.SQL(compiled.sql)), "key", *compiled.params)


def store_key_texts(run: Run, texts: Iterable[str], field: Field[Any, Any]) -> None:
    """Make these the keys of the run, as the database writes them: a UUID may have come in capitals.

    Raises DataError where one is none of the field's type.
    """
    source, rest = sql.SQL("unnest(%s::text[]) AS chosen (key)"), iter(texts)
    while some := list(islice(rest, _AT_ONCE)):
        _insert(run, source, f"key::{type_name(field)}", some)


def _insert(run: Run, source: sql.Composable, key: str, *params: Any) -> None:
    statement = sql.SQL(
        "INSERT INTO {keys} (run_id, object_id) SELECT %s, ({key})::text FROM {source} ON CONFLICT DO NOTHING"
    ).format(keys=identifier(Key._meta.db_table), key=sql.SQL(key), source=source)
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [run.pk, *params])


def _target(model: type[Model]) -> Field[Any, Any]:
    pk = model._meta.pk
    return getattr(pk, "target_field", pk)


def _collation(field: Field[Any, Any]) -> str | None:
    """Of a key whose column has one of its own; a list's text has the database's."""
    return getattr(field, "db_collation", None)
