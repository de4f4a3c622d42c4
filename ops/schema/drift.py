"""Schema drift: differences between the database's schema and its applied migrations.

The expected schema is built by the same migrations in a scratch database, and both are introspected. So it
covers everything that a migration can do: triggers, functions, fillfactor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor

from ops.backups.errors import MaintenanceFailed
from ops.backups.scratch import NO_TIMEOUTS, scratch_database, temporary_alias
from ops.migration_status import MigrationStatus
from ops.schema.introspection import SchemaObject, SchemaSnapshot, introspect_schema, introspect_search_path
from ops.sql.query import fetch_all

_ARRAY_CAST = re.compile(r"\((ARRAY\[[^]]*\])\)::text\[\]")
_SCHEMA_QUALIFIER = re.compile(
    r'(?s)\A(CREATE .*?\b(?:ON|ON ONLY|FUNCTION|PROCEDURE|STATISTICS|TO) )(?:"(?:[^"]|"")+"|\w+)\.'
)
# The triggers of a dual write call it where it was when they were made: tables may be moved since.
_RECORDER_SCHEMA = re.compile(r'(?:"(?:[^"]|"")+"|\w+)\.(?=ops_record_column_writer\()')
# SET search_path FROM CURRENT stores that of the session that migrated.
_STORED_SEARCH_PATH = re.compile(r"(?m)^ SET search_path TO .*$")
_ELEMENT_CAST = re.compile(r"\(('(?:[^']|'')*'::character varying)\)::text")


# A migration that goes on later keeps its progress in it: Note [Unfinished migrations] in ops/migrate/.
_PROGRESS_TABLE = "ops_unfinished_migrations"


@dataclass(frozen=True)
class SchemaDifference:
    """``expected`` is None for an object of no migration, ``actual`` for one that the database lacks."""

    schema_object: SchemaObject
    expected: str | None
    actual: str | None

    @property
    def summary(self) -> str:
        if self.actual is None:
            return f"missing: {self.schema_object}"
        if self.expected is None:
            return f"unexpected: {self.schema_object}"
        return f"different: {self.schema_object}"


def detect_drift(status: MigrationStatus) -> list[SchemaDifference]:
    """Compare the database with its applied migrations. Raises MaintenanceFailed."""
    path, schemas = _read_search_path()
    with scratch_database("drift") as name, temporary_alias(name, path, **NO_TIMEOUTS) as alias:
        _create_schemas(schemas, alias)
        apply_migrations(status.applied, alias)
        create_unmigrated_tables(status, alias)
        expected = introspect_schema(alias)
    return compare_snapshots(expected, _introspect_actual(expected))


def _introspect_actual(expected: SchemaSnapshot) -> SchemaSnapshot:
    """Introspect the current schema, and the expected objects in other schemas of the search_path."""
    current, others = introspect_search_path(DEFAULT_DB_ALIAS)
    tables = {schema_object.name for schema_object in expected if schema_object.kind == "table"}
    expected_elsewhere = {
        schema_object: definition
        for schema_object, definition in others.items()
        if schema_object in expected or _owning_table(schema_object, definition) in tables
    }
    return expected_elsewhere | current


def _read_search_path() -> tuple[str, list[str]]:
    """Return the search_path, and those of its schemas that exist. Raises MaintenanceFailed if none does."""
    [(path, schemas)] = fetch_all("SELECT current_setting('search_path'), current_schemas(false)")
    if not schemas:
        raise MaintenanceFailed(
            f"The search_path of sessions is {path}, and has no schema that exists and that our role may use."
        )
    return path, schemas


def _create_schemas(schemas: list[str], alias: str) -> None:
    with connections[alias].cursor() as cursor:
        for schema in schemas:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {connections[alias].ops.quote_name(schema)}")


def compare_snapshots(expected: SchemaSnapshot, actual: SchemaSnapshot) -> list[SchemaDifference]:
    """List the differences; for a missing or unexpected table, the table alone without its parts."""
    differences = [
        SchemaDifference(key, expected.get(key), actual.get(key))
        for key in sorted(expected.keys() | actual.keys())
        if _normalize_definition(expected.get(key)) != _normalize_definition(actual.get(key))
    ]
    tables = {
        d.schema_object.name
        for d in differences
        if d.schema_object.kind == "table" and None in (d.expected, d.actual)
    }
    return [
        d
        for d in differences
        if (d.schema_object.kind == "table" and d.schema_object.name != _PROGRESS_TABLE)
        or _owning_table(d.schema_object, d.actual or d.expected or "") not in tables
    ]


def apply_migrations(migrations: Sequence[Migration], alias: str) -> None:
    """Apply exactly these migrations to the database of the alias."""
    executor = MigrationExecutor(connections[alias])
    executor.loader.check_consistent_history(connections[alias])
    executor.migrate(None, plan=[(migration, False) for migration in migrations])


def create_unmigrated_tables(status: MigrationStatus, alias: str) -> None:
    """Create the tables of apps that have no migrations."""
    with connections[alias].schema_editor() as editor:
        for app in sorted(status.loader.unmigrated_apps):
            for model in router.get_migratable_models(apps.get_app_config(app), alias):
                if model._meta.can_migrate(connections[alias]):
                    editor.create_model(model)


def _normalize_definition(definition: str | None) -> str | None:
    """Remove the schemas' names, and the casts of a list in a CHECK, which change when a dump is restored."""
    if definition is None:
        return None
    unqualified = _RECORDER_SCHEMA.sub("", _SCHEMA_QUALIFIER.sub(r"\1", definition, count=1))
    unqualified = _STORED_SEARCH_PATH.sub(" SET search_path", unqualified)
    return _ELEMENT_CAST.sub(r"\1", _ARRAY_CAST.sub(r"\1", unqualified))


def _owning_table(schema_object: SchemaObject, definition: str) -> str:
    if schema_object.kind == "index":
        return definition.partition(" ON ")[2].partition(" USING ")[0].rpartition(".")[2].strip('"')
    if schema_object.kind == "sequence":
        return definition.partition(" owned by ")[2].partition(".")[0]
    return schema_object.name.partition(".")[0]
