"""The table locks that a statement takes, as https://www.postgresql.org/docs/current/explicit-locking.html."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ops.migrate.sql_reader import Reader, split_top_level


class LockMode(IntEnum):
    """Ordered by what they conflict with; from SHARE on players cannot write."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    def __str__(self) -> str:
        return self.name.replace("_", " ")

    @property
    def pg_name(self) -> str:
        """The mode as `pg_locks` names it."""
        return self.name.title().replace("_", "") + "Lock"

    @property
    def blocks_players(self) -> bool:
        return self >= LockMode.SHARE

    @property
    def conflicts(self) -> list[LockMode]:
        """The modes in which nobody else may hold the lock, for one that blocks players."""
        weakest = {LockMode.EXCLUSIVE: LockMode.ROW_SHARE, LockMode.ACCESS_EXCLUSIVE: LockMode.ACCESS_SHARE}
        itself = {self} if self == LockMode.SHARE else set()
        return [m for m in LockMode if m >= weakest.get(self, LockMode.ROW_EXCLUSIVE) and m not in itself]


Locks = dict[str, LockMode]

_WEAK_ACTIONS = (
    "VALIDATE CONSTRAINT",
    "ATTACH PARTITION",
    "CLUSTER ON",
    "SET WITHOUT CLUSTER",
    "SET (",
    "RESET (",
)
_TRIGGER_ACTIONS = ("ENABLE TRIGGER", "DISABLE TRIGGER", "ENABLE REPLICA TRIGGER", "ENABLE ALWAYS TRIGGER")
_INDEX_LOCKS = {
    "CREATE INDEX": LockMode.SHARE,
    "CREATE UNIQUE INDEX": LockMode.SHARE,
    "DROP INDEX": LockMode.ACCESS_EXCLUSIVE,
    "REINDEX": LockMode.SHARE,
}
_BEFORE_NAME = {
    "TRUNCATE TABLE": LockMode.ACCESS_EXCLUSIVE,
    "TRUNCATE": LockMode.ACCESS_EXCLUSIVE,
    "CLUSTER": LockMode.ACCESS_EXCLUSIVE,
    "DROP TABLE": LockMode.ACCESS_EXCLUSIVE,
    "DROP MATERIALIZED VIEW": LockMode.ACCESS_EXCLUSIVE,
    "ALTER INDEX": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "COMMENT ON TABLE": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "ANALYZE": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "UPDATE": LockMode.ROW_EXCLUSIVE,
    "DELETE FROM": LockMode.ROW_EXCLUSIVE,
    "INSERT INTO": LockMode.ROW_EXCLUSIVE,
    "MERGE INTO": LockMode.ROW_EXCLUSIVE,
}
_BEFORE_ON = {
    "CREATE TRIGGER": LockMode.SHARE_ROW_EXCLUSIVE,
    "CREATE OR REPLACE TRIGGER": LockMode.SHARE_ROW_EXCLUSIVE,
    "CREATE CONSTRAINT TRIGGER": LockMode.SHARE_ROW_EXCLUSIVE,
    "DROP TRIGGER": LockMode.ACCESS_EXCLUSIVE,
    "ALTER TRIGGER": LockMode.ACCESS_EXCLUSIVE,
    "CREATE POLICY": LockMode.ACCESS_EXCLUSIVE,
    "ALTER POLICY": LockMode.ACCESS_EXCLUSIVE,
    "DROP POLICY": LockMode.ACCESS_EXCLUSIVE,
    "COMMENT ON TRIGGER": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "COMMENT ON CONSTRAINT": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "CREATE STATISTICS": LockMode.SHARE_UPDATE_EXCLUSIVE,
}


def find_locks(sql: str) -> Locks:
    """Return the strongest lock on each table or index that the text names; none for a new table."""
    locks: Locks = {}
    for statement in split_top_level(sql, ";"):
        for name, mode in _locks(Reader(statement)):
            if name:
                locks[name] = max(mode, locks.get(name, mode))
    return locks


def _locks(reader: Reader) -> Iterator[tuple[str, LockMode]]:
    if reader.accept_any("ALTER TABLE", "ALTER MATERIALIZED VIEW"):
        reader.accept("IF", "EXISTS")
        reader.accept("ONLY")
        name = reader.name()
        for action in split_top_level(reader.rest(), ","):
            yield from _action_locks(name, action)
    elif reader.accept("CREATE", "TABLE"):
        yield from ((other, LockMode.SHARE_ROW_EXCLUSIVE) for other in _referenced(reader.sql))
    elif phrase := reader.accept_any(*_INDEX_LOCKS):
        yield _index_lock(reader, _INDEX_LOCKS[phrase])
    elif reader.accept("VACUUM"):
        is_full = "FULL" in reader.group().upper() or reader.accept("FULL")
        reader.accept_any("FREEZE", "VERBOSE", "ANALYZE")
        yield reader.name(), LockMode.ACCESS_EXCLUSIVE if is_full else LockMode.SHARE_UPDATE_EXCLUSIVE
    elif reader.accept("REFRESH", "MATERIALIZED", "VIEW"):
        mode = LockMode.EXCLUSIVE if reader.accept("CONCURRENTLY") else LockMode.ACCESS_EXCLUSIVE
        yield reader.name(), mode
    elif reader.accept("LOCK"):
        reader.accept("TABLE")
        names = [reader.name()]
        while reader.peek() == ",":
            reader.position += 1
            names.append(reader.name())
        words = "_".join(reader.keywords()).removeprefix("IN_")
        mode_name = words.removesuffix("_NOWAIT").removesuffix("_MODE")
        mode = LockMode.__members__.get(mode_name, LockMode.ACCESS_EXCLUSIVE)
        yield from ((name, mode) for name in names)
    elif reader.accept("COMMENT", "ON", "COLUMN"):
        yield reader.name().rpartition(".")[0], LockMode.SHARE_UPDATE_EXCLUSIVE
    elif phrase := reader.accept_any(*_BEFORE_NAME):
        reader.accept("IF", "EXISTS")
        reader.accept("ONLY")
        yield reader.name(), _BEFORE_NAME[phrase]
    elif phrase := reader.accept_any(*_BEFORE_ON):
        while reader.peek() not in ("ON", ""):
            reader.position += 1
        reader.accept("ON")
        yield reader.name(), _BEFORE_ON[phrase]


def _index_lock(reader: Reader, mode: LockMode) -> tuple[str, LockMode]:
    reader.group()
    reader.accept_any("TABLE", "INDEX")
    if reader.accept("CONCURRENTLY"):
        mode = LockMode.SHARE_UPDATE_EXCLUSIVE
    reader.accept_any("IF NOT EXISTS", "IF EXISTS")
    name = reader.name() if reader.peek() != "ON" else ""
    if reader.accept("ON"):
        reader.accept("ONLY")
        name = reader.name()
    return name, mode


def _action_locks(name: str, action: str) -> Iterator[tuple[str, LockMode]]:
    reader = Reader(action)
    words = list(reader.keywords())
    referenced = _referenced(action)
    yield from ((other, LockMode.SHARE_ROW_EXCLUSIVE) for other in referenced)
    if any(reader.sql.upper().startswith(weak) for weak in _WEAK_ACTIONS) or _is_weak(words):
        yield name, LockMode.SHARE_UPDATE_EXCLUSIVE
    elif reader.accept_any(*_TRIGGER_ACTIONS) or (referenced and "FOREIGN" in words):
        yield name, LockMode.SHARE_ROW_EXCLUSIVE
    else:
        yield name, LockMode.ACCESS_EXCLUSIVE


def _is_weak(words: list[str]) -> bool:
    is_detached = words[:2] == ["DETACH", "PARTITION"] and "CONCURRENTLY" in words
    return is_detached or (words[:1] == ["ALTER"] and "STATISTICS" in words)


def _referenced(sql: str) -> list[str]:
    """Return the tables that foreign keys of the text refer to."""
    reader, names = Reader(sql), []
    while reader.peek():
        if reader.accept("REFERENCES"):
            names.append(reader.name())
        else:
            reader.position += 1
    return names
