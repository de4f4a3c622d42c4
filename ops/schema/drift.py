"""Drift: where the database's schema is not the one that its applied migrations make.

What the schema should be is not computed but built: the same migrations are applied to a scratch database,
and PostgreSQL tells both. So nothing that a migration can do is left out: triggers, functions, fillfactor.
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
from ops.backups.scratch import NO_TIMEOUTS, temporary_alias
from ops.migration_status import MigrationStatus
from ops.schema.introspection import SchemaObject, SchemaSnapshot, introspect_schema, introspect_search_path
from ops.schema.scratch import scratch_database
from ops.sql.query import fetch_all

_ARRAY_CAST = re.compile(r"\((ARRAY\[[^]]*\])\)::text\[\]")
_SCHEMA_QUALIFIER = re.compile(
    r'(?s)\A(CREATE .*?\b(?:ON|ON ONLY|FUNCTION|PROCEDURE|STATISTICS|TO) )(?:"(?:[^"]|"")+"|\w+)\.'
)
_ELEMENT_CAST = re.compile(r"\(('(?:[^']|'')*'::character varying)\)::text")


@dataclass(frozen=True)
class SchemaDifference:
    """``expected`` is None for what no migration makes, ``found`` for what the database lacks."""

    schema_object: SchemaObject
    expected: str | None
    actual: str | None

    @property
    def summary(self) -> str:
        if self.actual is None:
            return f"missing: {self.schema_object}"
        if self.expected is None:
            return f"not of a migration: {self.schema_object}"
        return f"different: {self.schema_object}"


def detect_drift(standing: MigrationStatus) -> list[SchemaDifference]:
    """Where the database differs from what its applied migrations make. Raises Failed."""
    path, schemas = _read_search_path()
    with scratch_database("drift") as name, temporary_alias(name, path, **NO_TIMEOUTS) as alias:
        _create_schemas(schemas, alias)
        apply_migrations(standing.applied, alias)
        create_unmigrated_tables(standing, alias)
        expected = introspect_schema(alias)
    return compare_snapshots(expected, _introspect_actual(expected))


def _introspect_actual(expected: SchemaSnapshot) -> SchemaSnapshot:
    """What the schema has that Django writes to, and of other schemas only what there should be."""
    here, elsewhere = introspect_search_path(DEFAULT_DB_ALIAS)
    tables = {thing.name for thing in expected if thing.kind == "table"}
    ours = {
        thing: definition
        for thing, definition in elsewhere.items()
        if thing in expected or _owning_table(thing, definition) in tables
    }
    return ours | here


def _read_search_path() -> tuple[str, list[str]]:
    """The search_path, and which schemas of it there are. Raises Failed where there are none."""
    [(path, schemas)] = fetch_all("SELECT current_setting('search_path'), current_schemas(false)")
    if not schemas:
        raise MaintenanceFailed(
            f"Sessions look for tables in {path} (search_path), and there is no such schema, or none"
            " that our role may use."
        )
    return path, schemas


def _create_schemas(schemas: list[str], alias: str) -> None:
    with connections[alias].cursor() as cursor:
        for schema in schemas:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {connections[alias].ops.quote_name(schema)}")


def compare_snapshots(expected: SchemaSnapshot, found: SchemaSnapshot) -> list[SchemaDifference]:
    """The differences; of a table that is missing, or nobody's, nothing more than that."""
    differences = [
        SchemaDifference(thing, expected.get(thing), found.get(thing))
        for thing in sorted(expected.keys() | found.keys())
        if _normalize_definition(expected.get(thing)) != _normalize_definition(found.get(thing))
    ]
    whole = {
        d.schema_object.name
        for d in differences
        if d.schema_object.kind == "table" and None in (d.expected, d.actual)
    }
    return [
        d
        for d in differences
        if d.schema_object.kind == "table"
        or _owning_table(d.schema_object, d.actual or d.expected or "") not in whole
    ]


def apply_migrations(migrations: Sequence[Migration], alias: str) -> None:
    """Apply just these migrations to that database."""
    executor = MigrationExecutor(connections[alias])
    executor.loader.check_consistent_history(connections[alias])
    executor.migrate(None, plan=[(migration, False) for migration in migrations])


def create_unmigrated_tables(standing: MigrationStatus, alias: str) -> None:
    """The tables of apps that have no migrations."""
    with connections[alias].schema_editor() as editor:
        for app in sorted(standing.loader.unmigrated_apps):
            for model in router.get_migratable_models(apps.get_app_config(app), alias):
                if model._meta.can_migrate(connections[alias]):
                    editor.create_model(model)


def _normalize_definition(definition: str | None) -> str | None:
    """The same in whatever schema of the search_path it is, and for a list in a CHECK that was restored: then
    each word of it is cast, not the list."""
    if definition is None:
        return None
    unqualified = _SCHEMA_QUALIFIER.sub(r"\1", definition, count=1)
    return _ELEMENT_CAST.sub(r"\1", _ARRAY_CAST.sub(r"\1", unqualified))


def _owning_table(thing: SchemaObject, definition: str) -> str:
    if thing.kind == "index":
        return definition.partition(" ON ")[2].partition(" USING ")[0].rpartition(".")[2].strip('"')
    if thing.kind == "sequence":
        return definition.partition(" owned by ")[2].partition(".")[0]
    return thing.name.partition(".")[0]
