"""Cards for trials and benchmarks: believable, as many as wanted, the same for the same seed everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

COLUMNS = ("card_id", "title", "description", "rarity", "pack_id", "tags", "metadata")

# Sixty, twenty-five, ten and five of a hundred; exact in every block of twenty.
_BLOCK = ["common"] * 12 + ["rare"] * 5 + ["epic"] * 2 + ["legendary"]

_BIRDS = (
    "Colibrí", "Tangara", "Águila", "Búho", "Tucán", "Carpintero", "Garza", "Loro", "Halcón", "Perdiz",
    "Gallito de roca", "Barranquero", "Chamón", "Mirla", "Pava", "Quetzal", "Saltarín", "Trepatroncos",
)  # fmt: skip
_LOOKS = (
    "esmeralda", "dorado", "de corona roja", "de pico largo", "rubí", "nocturno", "de cola blanca", "azul",
    "de collar", "jaspeado", "gigante", "de anteojos", "encapuchado", "de alas grises", "crestado", "violeta",
)  # fmt: skip
_PLACES = (
    "páramo", "bosque de niebla", "selva amazónica", "llanos", "manglar", "Sierra Nevada", "Chocó", "Andes",
    "Magdalena", "desierto de la Guajira", "Cauca", "piedemonte",
)  # fmt: skip


def cards(count: int, seed: int, pack: str) -> Iterator[list[Any]]:
    """Rows for the staging: a place, then ``COLUMNS``. More cards begin with the same cards."""
    random = Random(f"kyndo {seed}").random  # noqa: S311
    rarities: list[str] = []
    for number in range(count):
        rarities = rarities or _shuffled(random)
        yield _card(number, f"{pack}-{seed}-{number + 1:06}", rarities.pop(), pack, random)


def _card(number: int, card_id: str, rarity: str, pack: str, random: Any) -> list[Any]:
    bird, look, place = _pick(_BIRDS, random), _pick(_LOOKS, random), _pick(_PLACES, random)
    description = f"{bird} {look}: vive en {place}, a {200 + int(random() * 3600)} metros de altura."
    metadata = {"habitat": place, "atk": 1 + int(random() * 99), "def": 1 + int(random() * 99)}
    tags = [bird.lower(), place.lower()]
    return [number, card_id, f"{bird} {look}", description, rarity, pack, tags, json.dumps(metadata)]


def _pick(names: tuple[str, ...], random: Any) -> str:
    return names[int(random() * len(names))]


def _shuffled(random: Any) -> list[str]:
    # Only Random.random is promised to give the same numbers in every version of Python.
    return [rarity for _, rarity in sorted((random(), rarity) for rarity in _BLOCK)]
