"""Explain errors that come from a missing table, column or schema, and say what to type."""

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
    """Whether a table or a column of this code does not exist."""
    return sqlstate(error) in _UNDEFINED_OBJECT


def explain_schema_error(error: Error) -> str:
    """Explain what is missing and how to restore it, by the recorded migrations; several lines."""
    first = f"The database's schema does not match this code: {first_line(error)}"
    with suppress(Error), separate_connection("hints") as other:  # ours may be in a failed transaction
        if not count_unapplied(other):
            return "\n".join([first, *_restore_hints(missing_tables(other), other)])
    return f"{first}\n{MIGRATE_HINT}"


def explain_missing_schema(error: MigrationSchemaMissing) -> str:
    """Explain why no table can be created: no schema for it, or no privilege; one or two lines."""
    cause = error.__context__
    first = f"No table can be created: {first_line(cause or error)}."
    with suppress(Error), separate_connection("hints") as other, other.cursor() as cursor:
        cursor.execute(_SESSION_SQL)
        database, path, schema, role = cursor.fetchone()
        if schema is None:
            return (
                f"{first} The search_path of sessions is {path}, and no such schema exists.\n"
                f"Create it with CREATE SCHEMA, or: ALTER DATABASE {database} SET search_path TO public"
            )
        if cause and sqlstate(cause) == "42501":
            return f"{first}\nAs the owner of the database: GRANT CREATE ON SCHEMA {schema} TO {role}"
    return first


def _restore_hints(missing: list[str], database: BaseDatabaseWrapper) -> list[str]:
    """Return the lines for tables or columns that somebody has dropped by hand."""
    name = database.settings_dict["NAME"]
    lines = [
        "All migrations are recorded as applied, so migrate would do nothing.",
        f"To see the differences: {manage_command('schema_drift')}",
        f"To restore a backup: {manage_command('backups')},"
        f" then {manage_command('restore_db', 'FILE', '--confirm', name)}",
    ]
    if missing:
        lines[0] = f"Missing, although all migrations are recorded as applied: {', '.join(missing)}."
    return [*lines, *_recreate_hints(missing, database)]


def _recreate_hints(missing: list[str], database: BaseDatabaseWrapper) -> list[str]:
    """Return the commands that recreate the tables of apps of which every table is missing, if there are any.

    The apps that depend on them must have no table left either.
    """
    tables = {
        config.label: {m._meta.db_table for m in config.get_models(True) if m._meta.can_migrate(database)}
        for config in apps.get_app_configs()
    }
    empty_apps = {label for label, names in tables.items() if names and names <= {*missing}}
    unapplied_apps: set[str] = set()
    commands = []
    # The app with the most dependents comes first: after each command Django writes to the tables of
    # contenttypes and auth, unless these are unapplied.
    for app, unapplied in sorted(
        _apps_unapplied_by_zero(empty_apps, database).items(), key=lambda item: (-len(item[1]), item[0])
    ):
        if unapplied <= empty_apps and app not in unapplied_apps:
            unapplied_apps |= unapplied
            commands.append(f"{manage_command('migrate', app, 'zero', '--fake')}")
    if not commands:
        return []
    commands.append(manage_command("migrate"))
    names = ", ".join(sorted(unapplied_apps))
    return [f"To create the tables of {names} again, without data: {'; '.join(commands)}"]


def _apps_unapplied_by_zero(labels: set[str], database: BaseDatabaseWrapper) -> dict[str, set[str]]:
    """Return the apps that ``migrate APP zero`` unapplies, by app; each includes itself."""
    executor = MigrationExecutor(database)
    plans = {app: executor.migration_plan([(app, None)]) for app in labels}
    return {app: {migration.app_label for migration, _ in plan} for app, plan in plans.items()}
