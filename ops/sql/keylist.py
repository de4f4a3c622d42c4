"""Lists of keys: the chosen rows of a run, those that it changed, those that failed, and staged ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Expression, F, Field, Model, OuterRef, QuerySet, TextField
from django.db.models.functions import Collate
from django.db.models.sql.datastructures import BaseTable
from psycopg import sql

from ops.models import AuditLog, Failure, Key, Run, StagedChange
from ops.sql.compile import CastToColumnType, compile_select, identifier, type_name
from ops.sql.query import fetch_all

_KEY_COLUMN = "object_id"


class KeyListColumn(Expression):
    """A column of the list's entry with which a row is joined."""

    def __init__(self, table: str, column: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = identifier(table, _prefixed_name(column))

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return self.name.as_string(), []


class KeyListTable(BaseTable):
    """A list in FROM; its columns are prefixed, since raw SQL may name a model's column without its table."""

    def __init__(self, source: sql.Composable, alias: str) -> None:
        super().__init__(alias, alias)
        self.source = source

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return f"CROSS JOIN {self.source.as_string()}", []

    def relabeled_clone(self, change_map: Any) -> KeyListTable:
        return self


def _prefixed_name(name: str) -> str:
    return f"listed_{name}_"


@dataclass(frozen=True)
class KeyList:
    """The entries of one run or change set in a table that has each object once, by its key as text.

    Rows that a change set is to create are none of them; nor are entries that change the column ``without``,
    if it is given: Note [A row that is to be created has its key among its changes].
    """

    source_model: type[Key] | type[AuditLog] | type[Failure] | type[StagedChange]
    owner_id: int
    without: str = ""

    def entries(self) -> QuerySet[Any]:
        condition = {self._owner_column: self.owner_id}
        if self.source_model is StagedChange:
            condition["is_new"] = False
        entries: QuerySet[Any] = self.source_model._base_manager.filter(**condition)
        return entries.exclude(changes__has_key=self.without) if self.without else entries

    def keys(self) -> QuerySet[Any]:
        """The keys as text, in the order of text and not of the model's key."""
        return self.entries().order_by(_KEY_COLUMN).values_list(_KEY_COLUMN, flat=True)

    def typed_keys(self, model: type[Model]) -> QuerySet[Any]:
        """The keys in the type of the model's key, for ``pk__in``."""
        return self._typed_entries(model).values("key_")

    def missing(self, model: type[Model]) -> QuerySet[Any]:
        """The entries of which no row is left."""
        rows = model._base_manager.filter(pk=OuterRef("key_"))
        return self._typed_entries(model).filter(~Exists(rows))

    def _typed_entries(self, model: type[Model]) -> QuerySet[Any]:
        field = _target_field(model)
        # Without the column's length: a cast to it would truncate a key, perhaps to that of another row.
        key: Any = CastToColumnType(F(_KEY_COLUMN), output_field=field)
        if collation := _key_collation(field):
            key = Collate(key, collation)
        entries: QuerySet[Any] = self.entries().annotate(key_=key)
        return entries

    def column(self, name: str, output_field: Field[Any, Any]) -> KeyListColumn:
        """A column of the entry, in a queryset that joins the list."""
        return KeyListColumn(self.alias, name, output_field)

    @property
    def key(self) -> KeyListColumn:
        """The key as text, in a queryset that joins the list."""
        return self.column(_KEY_COLUMN, TextField())

    def join(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Join the rows with their entries of the list, which PostgreSQL reads first.

        Entries never change, so a row that somebody changes meanwhile keeps its own.
        """
        meta, collation = rows.model._meta, _key_collation(_target_field(rows.model))
        condition = sql.SQL("{key} = {entry}::{type}{collate}").format(
            key=identifier(meta.db_table, meta.pk.column),
            entry=self.key.name,
            type=sql.SQL(type_name(meta.pk)),
            collate=sql.SQL(" COLLATE {}").format(identifier(collation)) if collation else sql.SQL(""),
        )
        joined = rows.extra(where=[condition.as_string()])  # noqa: S610
        joined.query.get_initial_alias()
        joined.query.alias_map[self.alias] = KeyListTable(self.source, self.alias)
        joined.query.alias_refcount[self.alias] = 1
        return joined

    @property
    def _owner_column(self) -> str:
        return "change_set_id" if self.source_model is StagedChange else "run_id"

    @property
    def alias(self) -> str:
        return _prefixed_name(self.source_model._meta.db_table)

    @property
    def source(self) -> sql.Composable:
        """The entries as a subquery for FROM or USING."""
        meta = self.source_model._meta
        names = {str(field.column) for field in meta.concrete_fields} & {_KEY_COLUMN, "changes"}
        columns = (
            sql.SQL("{} AS {}").format(identifier(column), identifier(_prefixed_name(column)))
            for column in sorted(names)
        )
        condition: sql.Composable = sql.SQL(" AND NOT is_new" if self.source_model is StagedChange else "")
        if self.without:
            condition = sql.SQL(" AND NOT changes ? {}").format(sql.Literal(self.without.replace("%", "%%")))
        return sql.SQL("(SELECT {} FROM {} WHERE {} = {}{}) AS {}").format(
            sql.SQL(", ").join(columns),
            identifier(meta.db_table),
            sql.SQL(self._owner_column),
            sql.Literal(self.owner_id),
            condition,
            identifier(self.alias),
        )


def store_queryset_keys(run: Run, keys: QuerySet[Any]) -> None:
    """Store the keys that the queryset selects now as those of the run, without reading them into Python."""
    compiled = compile_select(keys.order_by())
    if compiled is not None:
        _insert_keys(
            run, sql.SQL("({}) AS chosen (key)").format(sql.SQL(compiled.sql)), "key", *compiled.params
        )


def store_text_keys(run: Run, texts: Collection[str], field: Field[Any, Any]) -> None:
    """Store the keys of the run, in the database's own notation: a UUID may be given in capitals.

    Raises DataError where one is not of the field's type.
    """
    # In order: entries in any other order take five times as long to be indexed.
    ordered, key_type = sorted(texts), type_name(field)
    if not _copy_keys(run, ordered, key_type):
        _insert_keys(run, sql.SQL("unnest(%s::text[]) AS chosen (key)"), f"key::{key_type}", ordered)


def _copy_keys(run: Run, texts: Sequence[str], key_type: str) -> bool:
    """Store the keys as given; store none, and return False, where the database's notation differs."""
    table = identifier(Key._meta.db_table)
    copy = sql.SQL("COPY {} (run_id, object_id) FROM STDIN").format(table)
    has_other_notation = sql.SQL(
        "SELECT EXISTS (SELECT FROM {} WHERE run_id = %s AND object_id <> (object_id::{})::text)"
    ).format(table, sql.SQL(key_type))
    with transaction.atomic():
        with (
            connection.wrap_database_errors,
            connection.connection.cursor() as cursor,
            cursor.copy(copy) as rows,
        ):
            for text in texts:
                rows.write_row((run.pk, text))
        [(differs,)] = fetch_all(has_other_notation.as_string(), run.pk)
        if differs:
            transaction.set_rollback(True)
    return not differs


def _insert_keys(run: Run, source: sql.Composable, key: str, *params: Any) -> None:
    statement = sql.SQL(
        "INSERT INTO {keys} (run_id, object_id) SELECT %s, ({key})::text FROM {source} ON CONFLICT DO NOTHING"
    ).format(keys=identifier(Key._meta.db_table), key=sql.SQL(key), source=source)
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [run.pk, *params])


def _target_field(model: type[Model]) -> Field[Any, Any]:
    pk = model._meta.pk
    return getattr(pk, "target_field", pk)


def _key_collation(field: Field[Any, Any]) -> str | None:
    """The collation of the key's column, if it has one of its own; a list's text has the database's."""
    return getattr(field, "db_collation", None)
