"""A schema as PostgreSQL itself tells it: every object with its definition."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from ops.schema.parts import PARTS


@dataclass(frozen=True, order=True)
class Thing:
    """What an object is and whose: ``column cards.rarity``, ``trigger cards.keep_rarity_equal``."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Catalog = dict[Thing, str]


def catalog_of(alias: str) -> Catalog:
    """Every object in the schema that Django writes to."""
    return catalogs_of(alias)[0]


def catalogs_of(alias: str) -> tuple[Catalog, Catalog]:
    """What is in the schema that Django writes to, and what it sees in the others of the search_path."""
    here: Catalog = {}
    elsewhere: Catalog = {}
    with connections[alias].cursor() as cursor:
        for part in PARTS:
            cursor.execute(part)
            for kind, name, definition, is_here in cursor.fetchall():
                (here if is_here else elsewhere)[Thing(kind, name)] = definition
    return here, elsewhere
