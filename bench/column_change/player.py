"""A player: on a fixed schedule it updates, or reads, single random cards, with the latencies.

Run as ``python -m bench.column_change.player JSON``. It uses the old column until the change is switched, and
the new one after it, as an application does. It prints "ready", starts at a line on stdin, stops at the next
one, and prints ``{"calls": [[due, sent, done], ...], "errors": [...], "written": {id: value}}`` (monotonic
seconds; the last value that it wrote to each card).
"""

from __future__ import annotations

import json
import random
import sys
from time import monotonic, sleep
from typing import Any

import psycopg

from bench.engine.player import iter_due_times

_FLAG_SQL = """
SELECT step, is_back FROM ops_column_change_event WHERE change = %s ORDER BY id DESC LIMIT 1
"""
_FLAG_AGE = 0.4  # seconds; it is read between two calls
_SWITCHED = {("switch", False), ("retire", False), ("drop", False), ("retire", True), ("drop", True)}
_MAX_ERRORS = 20


class Player:
    """One client; ``kind`` is "update" or "read", ``columns`` the old and the new column."""

    def __init__(
        self, url: str, kind: str, change: str, columns: list[str], values: list[str], cards: int
    ) -> None:
        self.connection = psycopg.connect(url, autocommit=True, application_name=f"player: {kind}")
        self.kind, self.change, self.columns, self.values, self.cards = kind, change, columns, values, cards
        self.rng = random.Random(kind)  # noqa: S311
        self.read_at = 0.0
        self.column = columns[0]
        self.calls: list[tuple[float, float, float]] = []
        self.errors: list[str] = []
        self.written: dict[int, str] = {}

    def play(self) -> dict[str, Any]:
        """Call on schedule until a line arrives."""
        for due in iter_due_times():
            if monotonic() - self.read_at > _FLAG_AGE:
                self._read_flag()
            sleep(max(0.0, due - monotonic()))
            sent = monotonic()
            try:
                self._call(self.rng.randint(1, self.cards))
            except psycopg.Error as exc:
                self.errors.append(f"{self.column}: {exc}"[:300])
            self.calls.append((due, sent, monotonic()))
        return {"calls": self.calls, "errors": self.errors[:_MAX_ERRORS], "written": self.written}

    def _read_flag(self) -> None:
        row = self.connection.execute(_FLAG_SQL, [self.change]).fetchone()
        self.column = self.columns[row in _SWITCHED]
        self.read_at = monotonic()

    def _call(self, card: int) -> None:
        if self.kind == "read":
            self.connection.execute(f"SELECT id, title, {self.column} FROM cards WHERE id = %s", [card])  # noqa: S608
            return
        value = self.rng.choice(self.values)
        self.connection.execute(
            f"UPDATE cards SET {self.column} = %s, updated_at = now() WHERE id = %s",  # noqa: S608
            [value, card],
        )
        self.written[card] = value


def main() -> None:
    player = Player(**json.loads(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(player.play()), flush=True)


if __name__ == "__main__":
    main()
