"""Django's schema editor for PostgreSQL, whose statements are rewritten: see Note [Safe equivalents]."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.models import Model

from ops.migrate.catalog import Catalog
from ops.migrate.rewrite import rewrite
from ops.migrate.steps import Place, Refusal, Step, UnsafeMigration


class MustLeaveTransaction(Exception):
    """A statement of a migration cannot be run in the migration's transaction."""


class SafeSchemaEditor(DatabaseSchemaEditor):
    """Rewrite what is executed.

    With ``collect_sql`` it collects the steps. Otherwise it executes them up to the first one that must leave
    the transaction, and keeps that and all later ones in ``left``; if the migration ``is_atomic``, it raises
    MustLeaveTransaction. With ``is_keeping`` it keeps all of them.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        catalog: Catalog,
        *,
        collect_sql: bool = False,
        is_atomic: bool = False,
        is_keeping: bool = False,
        allow_unsafe: bool = True,
    ) -> None:
        super().__init__(connection, collect_sql=collect_sql, atomic=is_atomic and not collect_sql)
        self.catalog = catalog
        self.is_keeping = is_keeping
        self.allow_unsafe = allow_unsafe
        self.left: list[Step] = []
        self.refusals: list[Refusal] = []

    def __enter__(self) -> SafeSchemaEditor:
        super().__enter__()
        # Each action of ALTER TABLE is one statement, which can be rewritten by itself.
        self.connection.features.supports_combined_alters = False
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.connection.features.supports_combined_alters = True
        super().__exit__(exc_type, exc_value, traceback)

    def execute(self, sql: Any, params: Any = ()) -> None:
        """Rewrite the statement, and execute or keep its steps."""
        text = str(sql) if params is None else self.connection.ops.compose_sql(str(sql), params)
        rewritten = rewrite(text, self.catalog)
        if rewritten.refusal:
            self.refusals.append(rewritten.refusal)
            if rewritten.refusal.is_large and not (self.allow_unsafe or self.collect_sql):
                raise UnsafeMigration(self.refusals)
        for step in rewritten.steps:
            self._place(step)

    def flush_deferred(self) -> None:
        """Execute what Django defers to the end."""
        statements, self.deferred_sql = self.deferred_sql, []
        for sql in statements:
            self.execute(sql, None)

    def _delete_index_sql(
        self, model: type[Model], name: str, sql: str | None = None, concurrently: bool = False
    ) -> Any:
        """Django's, CONCURRENTLY for a live table: in advance the index itself may not be there yet."""
        table = self.catalog.table(self.quote_name(model._meta.db_table))
        concurrently |= table is not None and table.is_live and not table.is_partitioned
        return super()._delete_index_sql(model, name, sql, concurrently)  # type: ignore[misc]

    def _place(self, step: Step) -> None:
        if self.collect_sql or self.is_keeping or self.left:
            self.left.append(step)
        elif step.place == Place.SHARED:
            super().execute(step.sql, None)
        elif self.atomic_migration:
            raise MustLeaveTransaction(step.sql)
        else:
            self.left.append(step)
