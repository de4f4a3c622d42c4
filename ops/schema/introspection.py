"""A schema as PostgreSQL itself tells it: every object with its definition."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from ops.schema.parts import CATALOG_QUERIES


@dataclass(frozen=True, order=True)
class SchemaObject:
    """What an object is and whose: ``column cards.rarity``, ``trigger cards.keep_rarity_equal``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


SchemaSnapshot = dict[SchemaObject, str]


def introspect_schema(alias: str) -> SchemaSnapshot:
    """Every object in the schema that Django writes to."""
    return introspect_search_path(alias)[0]


def introspect_search_path(alias: str) -> tuple[SchemaSnapshot, SchemaSnapshot]:
    """What is in the schema that Django writes to, and what it sees in the others of the search_path."""
    here: SchemaSnapshot = {}
    elsewhere: SchemaSnapshot = {}
    with connections[alias].cursor() as cursor:
        for part in CATALOG_QUERIES:
            cursor.execute(part)
            for kind, name, definition, is_here in cursor.fetchall():
                (here if is_here else elsewhere)[SchemaObject(kind, name)] = definition
    return here, elsewhere
