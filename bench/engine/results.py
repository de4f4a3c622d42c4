"""The measurements, saved as JSON beside the report; a later run replaces only the parts that it measured."""

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
    """The rounds and the machine by ``section`` ("speed", "players", "curve") and number of cards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def save_rounds(
        self, section: str, rows: int, rounds: list[RoundResults], machine: str, *, beside: bool = False
    ) -> None:
        """Replace the rounds of that size, or append to them if ``beside``."""
        sizes = self.data.setdefault(section, {})
        if beside and str(rows) in sizes:
            sizes[str(rows)]["rounds"] += rounds
        else:
            sizes[str(rows)] = {"machine": machine, "rounds": rounds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")

    def sizes(self, section: str) -> list[int]:
        return sorted(map(int, self.data.get(section, {})))

    def rounds(self, section: str, rows: int) -> list[RoundResults]:
        rounds: list[RoundResults] = self.data.get(section, {}).get(str(rows), {}).get("rounds", [])
        return rounds

    def machine(self, section: str, rows: int) -> str:
        return str(self.data[section][str(rows)]["machine"])


class Spread:
    """The median, minimum and maximum of a value over the rounds."""

    def __init__(self, values: list[float]) -> None:
        self.median, self.minimum, self.maximum = median(values), min(values), max(values)


def compute_spread(
    rounds: list[RoundResults], name: str, figure: Callable[[dict[str, Any]], float]
) -> Spread | None:
    """Summarize ``figure`` of the results of a variant; None if it was not measured."""
    values = [figure(one[name]) for one in rounds if name in one]
    return Spread(values) if values else None


def compute_throughput_ratio(rounds: list[RoundResults], name: str, to: str) -> Spread | None:
    """Return the ratio of the throughput of two variants within each round."""
    pairs = [
        (rows_per_second(one[name]), rows_per_second(one[to])) for one in rounds if name in one and to in one
    ]
    return Spread([one / other for one, other in pairs]) if pairs else None


def rows_per_second(speed: dict[str, Any]) -> float:
    return float(speed["rows"] / speed["seconds"])


def to_dict(measured: Any) -> dict[str, Any]:
    return asdict(measured)


def describe_machine(url: str) -> str:
    """Describe the server, its settings and the load of the machine."""
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
