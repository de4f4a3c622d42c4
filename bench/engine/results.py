"""The measurements, kept as JSON beside the report, so that a later run replaces only what it measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

RoundResults = dict[str, dict[str, Any]]


class ResultStore:
    """``section`` ("speed", "players", "curve") and number of cards to the rounds and their machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def save_rounds(
        self, section: str, rows: int, rounds: list[RoundResults], machine: str, *, beside: bool = False
    ) -> None:
        """In place of what is there of that size, or ``beside`` it."""
        of_section = self.data.setdefault(section, {})
        if beside and str(rows) in of_section:
            of_section[str(rows)]["rounds"] += rounds
        else:
            of_section[str(rows)] = {"machine": machine, "rounds": rounds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")

    def sizes(self, section: str) -> list[int]:
        return sorted(map(int, self.data.get(section, {})))

    def rounds(self, section: str, rows: int) -> list[RoundResults]:
        found: list[RoundResults] = self.data.get(section, {}).get(str(rows), {}).get("rounds", [])
        return found

    def machine(self, section: str, rows: int) -> str:
        return str(self.data[section][str(rows)]["machine"])


class Spread:
    """The median of one figure over the rounds, and between what it lay."""

    def __init__(self, values: list[float]) -> None:
        self.median, self.minimum, self.maximum = median(values), min(values), max(values)


def compute_spread(
    rounds: list[RoundResults], name: str, figure: Callable[[dict[str, Any]], float]
) -> Spread | None:
    values = [figure(one[name]) for one in rounds if name in one]
    return Spread(values) if values else None


def compute_throughput_ratio(rounds: list[RoundResults], name: str, to: str) -> Spread | None:
    """Of the rows a second of two ways, taken within each round."""
    pairs = [
        (rows_per_second(one[name]), rows_per_second(one[to])) for one in rounds if name in one and to in one
    ]
    return Spread([mine / other for mine, other in pairs]) if pairs else None


def rows_per_second(speed: dict[str, Any]) -> float:
    return float(speed["rows"] / speed["seconds"])


def to_dict(measured: Any) -> dict[str, Any]:
    return asdict(measured)


def describe_machine(url: str) -> str:
    """What the figures were measured on, and how busy it was."""
    with psycopg.connect(url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        durable = {
            name: (connection.execute(f"SHOW {name}").fetchone() or ("",))[0]
            for name in ("fsync", "full_page_writes", "synchronous_commit", "shared_buffers", "max_wal_size")
        }
    settings = ", ".join(f"{name} {value}" for name, value in durable.items())
    server = version[0] if version else "?"
    return (
        f"PostgreSQL {server} ({settings}), Python {platform.python_version()}, {os.cpu_count()} CPUs,"
        f" load {os.getloadavg()[0]:.1f} before the first round"
    )
