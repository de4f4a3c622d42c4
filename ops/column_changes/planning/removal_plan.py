"""Plan the removal of a column: the migration that expands, and what to know before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.db import connection
from django.db.models import Field, UniqueConstraint

from ops.column_changes.declaration import BaseColumnChange
from ops.column_changes.meta_references import has_reference
from ops.column_changes.migration_operations import RecordStep, WatchColumn, find_recording
from ops.column_changes.planning.counterparts import list_lost
from ops.column_changes.planning.followers import list_dependents
from ops.column_changes.planning.migration_files import build_migration, load_migrations
from ops.column_changes.planning.model_obstacles import find_model_obstacles
from ops.column_changes.planning.plan import Plan, require_old_field
from ops.column_changes.planning.table import WatchedTable, read_watched_table
from ops.column_changes.planning.table_obstacles import find_removal_obstacles
from ops.column_changes.steps import Step
from ops.command_lines import manage_command
from ops.sql.column_defaults import read_defaults
from ops.sql.dual_write_defaults import compile_default, compile_python_default
from ops.sql.watched_column import WatchedColumn

_CAST = re.compile(r"::[a-z ]+(\(\d+\))?(\[\])?$")  # which PostgreSQL adds to what a person wrote


def plan_removal(change: type[BaseColumnChange]) -> Plan:
    """Plan the migration of expand. Raises PlanRefused, or MigrationNotWritten."""
    require_old_field(change)
    app_label = change.model._meta.app_label
    loader = load_migrations(app_label)
    if written := find_recording(loader.disk_migrations.values(), change.name):
        return Plan(change, planned={step: migration.name for step, migration in written.items()})
    if obstacles := find_model_obstacles(change):
        return Plan(change, obstacles=tuple(obstacles))
    column = compile_removal(change)
    table = read_watched_table(change, column)
    if table is None:
        migrate = manage_command("migrate")
        missing = f"This database does not have {column.table} yet. Apply the migrations first: {migrate}"
        return Plan(change, obstacles=(missing,))
    operations = [WatchColumn(column=column), RecordStep(change=change.name, step=Step.EXPAND.value)]
    migration = build_migration(loader, app_label, f"{change.name}_{Step.EXPAND.value}", operations)
    return Plan(change, (migration,), tuple(find_removal_obstacles(table)), tuple(list_removal_notes(table)))


def compile_removal(change: type[BaseColumnChange]) -> WatchedColumn:
    """Return the column to watch, with what rows get that leave it out."""
    field = change().old_field()
    table, column = change.model._meta.db_table, str(field.column)
    own = read_defaults(table).get(column) or compile_default(connection, field)
    if own is not None or field.null or _is_unique(change, field):
        return WatchedColumn(change.name, table, column, default=own, nullable=field.null)
    value = compile_python_default(connection, field)
    return WatchedColumn(change.name, table, column, default=value, has_own_default=value is None)


def _is_unique(change: type[BaseColumnChange], field: Field) -> bool:  # type: ignore[type-arg]
    """Whether a second row with the same value may be refused."""
    meta = change.model._meta
    named = (each for each in meta.constraints if isinstance(each, UniqueConstraint))
    return (
        field.unique
        or any(has_reference(each, field.name) for each in named)
        or any(field.name in names for names in meta.unique_together)
    )


def list_removal_notes(table: WatchedTable) -> Iterator[str]:
    """Yield what to know, and to do, before the column is retired or dropped."""
    column = table.column
    value = "NULL" if column.default is None else _CAST.sub("", column.default)
    yield f"A new row that leaves {table.old} out has {value} in it, from the step expand on."
    if column.default is None and not column.nullable:
        yield (
            f"{table.old} loses its NOT NULL at the step expand. Taking that back needs a value in each row;"
            " a db_default would keep it."
        )
    if column.nullable or (column.default is not None and not table.change().old_field().has_default()):
        nothing = "NULL" if column.default is None else "DEFAULT"
        yield (
            f"An INSERT that sets {table.old} to {nothing}, as Django does where no value is given, is not"
            " recorded. So let no code run that knows the field before the step retire."
        )
    yield from list_dependents(table)
    for name, *_ in table.list_triggers([table.old]):
        yield (
            f"The trigger {name} of {table.name} uses {table.old}. Change it to {table.advice} before the"
            " step retire."
        )
    yield from list_lost(table)
