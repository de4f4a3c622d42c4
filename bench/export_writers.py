"""The writers of all cards as JSON that ``bench.export`` compares: ``NAME FILE``, with DATABASE_URL set."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

# The columns and the order of rows of ops.sql.copy_out.
CARD_COLUMNS = (
    "id, card_id, title, description, image, thumbnail, rarity, rarity_v2, pack_id, tags, metadata,"
    " created_at, updated_at"
)
BASELINE_COPY = (
    f"COPY (SELECT row_to_json(c) FROM (SELECT {CARD_COLUMNS} FROM cards ORDER BY id) c)"  # noqa: S608
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)
_BUFFER_BYTES = 1 << 20


def iter_psycopg_copy() -> Iterator[Any]:
    import psycopg

    with (
        psycopg.connect(os.environ["DATABASE_URL"]) as connection,
        connection.cursor() as cursor,
        cursor.copy(BASELINE_COPY) as copy,
    ):
        yield from copy


def iter_orjson() -> Iterator[Any]:
    import orjson

    for row in _ordered_cards().values().iterator():
        yield orjson.dumps(row) + b"\n"


def iter_json() -> Iterator[Any]:
    for row in _ordered_cards().values().iterator():
        yield json.dumps(row, default=str).encode() + b"\n"


def iter_model_instances() -> Iterator[Any]:
    from django.forms.models import model_to_dict

    for card in _ordered_cards().iterator():
        times = {"created_at": card.created_at, "updated_at": card.updated_at}
        yield json.dumps({**model_to_dict(card), **times}, default=str).encode() + b"\n"


def _ordered_cards() -> Any:
    import django

    django.setup()
    from cards.models import Card

    return Card.objects.order_by("pk")


WRITERS: dict[str, Callable[[], Iterator[Any]]] = {
    "psycopg": iter_psycopg_copy,
    "orjson": iter_orjson,
    "json": iter_json,
    "instances": iter_model_instances,
}


def main() -> None:
    name, path = sys.argv[1:]
    with open(path, "wb", buffering=_BUFFER_BYTES) as file:
        for chunk in WRITERS[name]():
            file.write(chunk)


if __name__ == "__main__":
    main()
