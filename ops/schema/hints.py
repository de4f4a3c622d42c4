"""What to say, and to type, where the database's schema is not the one of this code."""

from __future__ import annotations

from contextlib import suppress

from django.apps import apps
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.migrations.executor import MigrationExecutor

from ops.command_lines import manage_command
from ops.db import separate_connection
from ops.formatting import first_line
from ops.migration_status import count_unapplied, missing_tables
from ops.sqlstates import sqlstate

MIGRATE_HINT = f"Type: {manage_command('migrate')}"
_UNDEFINED_OBJECT = ("42P01", "42703")  # undefined table, undefined column


_SESSION_SQL = """
SELECT quote_ident(current_database()), current_setting('search_path'), quote_ident(current_schema()),
    quote_ident(current_user)
"""


def is_schema_error(error: Error) -> bool:
    """Whether a table or a column that the code speaks of is not there."""
    return sqlstate(error) in _UNDEFINED_OBJECT


def explain_schema_error(error: Error) -> str:
    """What the database lacks, and by what its migrations and tables say, the way back: some lines."""
    first = f"The database's schema is not the one of this code: {first_line(error)}"
    with suppress(Error), separate_connection("mend") as other:  # ours may be in a failed transaction
        if not count_unapplied(other):
            return "\n".join([first, *_restore_hints(missing_tables(other), other)])
    return f"{first}\n{MIGRATE_HINT}"


def explain_missing_schema(error: MigrationSchemaMissing) -> str:
    """Why not even the first table can be made: no schema to make it in, or no right to; two lines."""
    cause = error.__context__
    first = f"No table can be made: {first_line(cause or error)}."
    with suppress(Error), separate_connection("mend") as other, other.cursor() as cursor:
        cursor.execute(_SESSION_SQL)
        database, path, schema, role = cursor.fetchone()
        if schema is None:
            return (
                f"{first} Sessions look into {path}, and there is no such schema.\n"
                f"CREATE SCHEMA makes one; or to let them look elsewhere: ALTER DATABASE {database}"
                " SET search_path TO public"
            )
        if cause and sqlstate(cause) == "42501":
            return f"{first}\nAs the owner of the database: GRANT CREATE ON SCHEMA {schema} TO {role}"
    return first


def _restore_hints(missing: list[str], database: BaseDatabaseWrapper) -> list[str]:
    """What was there once, and somebody has removed by hand."""
    name = database.settings_dict["NAME"]
    lines = [
        "All migrations are recorded as applied, so that migrate would do nothing.",
        f"To see what differs from what they make: {manage_command('schema_drift')}",
        f"To go back to a backup: {manage_command('backups')},"
        f" then {manage_command('restore_db', 'FILE', '--confirm', name)}",
    ]
    if missing:
        lines[0] = f"Missing, although all migrations are recorded as applied: {', '.join(missing)}."
    return [*lines, *_recreate_hints(missing, database)]


def _recreate_hints(missing: list[str], database: BaseDatabaseWrapper) -> list[str]:
    """How to make the tables again of apps whose migrations can all run again, where there are such.

    No table may be left, of them or of what builds on them.
    """
    tables = {
        config.label: {m._meta.db_table for m in config.get_models(True) if m._meta.can_migrate(database)}
        for config in apps.get_app_configs()
    }
    emptied = {label for label, names in tables.items() if names and names <= {*missing}}
    forgotten: set[str] = set()
    typed = []
    # What most builds on comes first: after each command Django writes into the tables of contenttypes and
    # auth, unless they are forgotten.
    for app, undone in sorted(
        _apps_unapplied_by_zero(emptied, database).items(), key=lambda told: (-len(told[1]), told[0])
    ):
        if undone <= emptied and app not in forgotten:
            forgotten |= undone
            typed.append(f"{manage_command('migrate', app, 'zero', '--fake')}")
    if not typed:
        return []
    typed.append(manage_command("migrate"))
    return [f"To make those of {', '.join(sorted(forgotten))} anew, empty: {'; '.join(typed)}"]


def _apps_unapplied_by_zero(labels: set[str], database: BaseDatabaseWrapper) -> dict[str, set[str]]:
    """The apps that ``migrate zero`` of each takes back with it, itself among them."""
    executor = MigrationExecutor(database)
    plans = {app: executor.migration_plan([(app, None)]) for app in labels}
    return {app: {migration.app_label for migration, _ in plan} for app, plan in plans.items()}
