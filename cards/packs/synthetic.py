"""Synthetic cards for tests and benchmarks: realistic, and the same on every machine for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from django.utils.text import slugify

COLUMNS = ("card_id", "title", "description", "rarity", "rarity_v2", "pack_id", "tags", "metadata")

# 60, 25, 10 and 5 percent, exact in every block of twenty.
_RARITY_BLOCK = ["common"] * 12 + ["rare"] * 5 + ["epic"] * 2 + ["legendary"]

_BIRDS = (
    "Colibrí", "Tangara", "Águila", "Búho", "Tucán", "Carpintero", "Garza", "Loro", "Halcón", "Perdiz",
    "Gallito de roca", "Barranquero", "Chamón", "Mirla", "Pava", "Quetzal", "Saltarín", "Trepatroncos",
)  # fmt: skip
_EPITHETS = (
    "esmeralda", "dorado", "de corona roja", "de pico largo", "rubí", "nocturno", "de cola blanca", "azul",
    "de collar", "jaspeado", "gigante", "de anteojos", "encapuchado", "de alas grises", "crestado", "violeta",
)  # fmt: skip
_HABITATS = (
    "páramo", "bosque de niebla", "selva amazónica", "llanos", "manglar", "Sierra Nevada", "Chocó", "Andes",
    "Magdalena", "desierto de la Guajira", "Cauca", "piedemonte",
)  # fmt: skip


def iter_cards(count: int, seed: int, pack: str, *, without_rarity_v2: bool = False) -> Iterator[list[Any]]:
    """Yield rows for the staging table: a position, then ``COLUMNS``. A larger count starts alike.

    rarity_v2 is given although the trigger would fill it: the trigger's condition then skips it.
    """
    random = Random(f"kyndo {seed}").random  # noqa: S311
    stem = slugify(pack, allow_unicode=True) or "card"
    rarities: list[str] = []
    for number in range(count):
        rarities = rarities or _shuffled_rarities(random)
        card = _card_values(f"{stem}-{seed}-{number + 1:06}", rarities.pop(), pack, random)
        yield [number, *card[:4], None if without_rarity_v2 else card[3], *card[4:]]


def _card_values(card_id: str, rarity: str, pack: str, random: Any) -> list[Any]:
    bird, epithet, habitat = _choose(_BIRDS, random), _choose(_EPITHETS, random), _choose(_HABITATS, random)
    description = f"{bird} {epithet}: vive en {habitat}, a {200 + int(random() * 3600)} metros de altura."
    metadata = {"habitat": habitat, "atk": 1 + int(random() * 99), "def": 1 + int(random() * 99)}
    tags = [bird.lower(), habitat.lower()]
    return [card_id, f"{bird} {epithet}", description, rarity, pack, tags, json.dumps(metadata)]


def _choose(names: tuple[str, ...], random: Any) -> str:
    return names[int(random() * len(names))]


def _shuffled_rarities(random: Any) -> list[str]:
    # Only Random.random is guaranteed to return the same numbers in every version of Python.
    return [rarity for _, rarity in sorted((random(), rarity) for rarity in _RARITY_BLOCK)]
