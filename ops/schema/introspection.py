"""Introspect a schema: every object with its definition, as PostgreSQL prints it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from ops.schema.parts import CATALOG_QUERIES


@dataclass(frozen=True, order=True)
class SchemaObject:
    """Kind and name of an object: ``column cards.rarity``, ``trigger cards.keep_rarity_equal``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


SchemaSnapshot = dict[SchemaObject, str]


def introspect_schema(alias: str) -> SchemaSnapshot:
    """Introspect the current schema, the one in which Django creates tables."""
    return introspect_search_path(alias)[0]


def introspect_search_path(alias: str) -> tuple[SchemaSnapshot, SchemaSnapshot]:
    """Introspect the current schema, and what is visible in the other schemas of the search_path."""
    current: SchemaSnapshot = {}
    others: SchemaSnapshot = {}
    with connections[alias].cursor() as cursor:
        for part in CATALOG_QUERIES:
            cursor.execute(part)
            for kind, name, definition, is_current in cursor.fetchall():
                (current if is_current else others)[SchemaObject(kind, name)] = definition
    return current, others
