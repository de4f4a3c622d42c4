"""The plan of a migration for the operator: the statements, their locks, and for how long at most."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ops.formatting import format_duration
from ops.migrate.catalog import Catalog
from ops.migrate.lock_modes import LockMode, Locks, find_locks
from ops.migrate.migration_plan import OperationPlan
from ops.migrate.session_settings import Limits
from ops.migrate.sql_reader import abbreviate
from ops.migrate.steps import Place, Refusal, Step

_INDENT = " " * 6


def format_operation(plan: OperationPlan, catalog: Catalog, limits: Limits) -> str:
    """Format what follows the description of an operation; empty if it changes nothing."""
    lines = [f"{_INDENT}{line}" for line in _lines(plan, catalog, limits)]
    return "".join(f"\n{line}" for line in lines)


def _lines(plan: OperationPlan, catalog: Catalog, limits: Limits) -> Iterator[str]:
    for step in plan.steps:
        yield from (f"{statement};" for statement in abbreviate(step.sql))
        yield f"  {_describe_locks(step, catalog, limits)}"
    if plan.note:
        yield plan.note
    for refusal in plan.refusals:
        if refusal.is_large:
            yield from _describe_refusal(refusal)


def _describe_refusal(refusal: Refusal) -> Iterator[str]:
    yield f"REFUSED: {refusal.reason} ({refusal.table})"
    yield f"  safe: {refusal.safe_alternative}"


def _describe_locks(step: Step, catalog: Catalog, limits: Limits) -> str:
    locks = _live_locks(step.sql, catalog)
    if not locks:
        return "no lock on a table that is in use"
    names = ", ".join(f"{mode} on {table}" for table, mode in locks.items())
    return f"{names}; {_describe_limits(step, max(locks.values()), limits)}"


def _describe_limits(step: Step, mode: LockMode, limits: Limits) -> str:
    if step.place == Place.NONE:
        return "no transaction; no limits; players read and write"
    wait = f"waits {_format(limits.lock)}"
    if step.place == Place.OWN:
        return f"own transaction; {wait}, no other limit; players read and write"
    if mode.blocks_players:
        return f"{wait}, holds {_format(limits.statement)} at most"
    players = "players read and write" + (" other rows" if mode == LockMode.ROW_EXCLUSIVE else "")
    return f"{wait}, takes {_format(limits.statement)} at most; {players}"


def _format(limit: timedelta | None) -> str:
    return format_duration(limit).replace(".0 s", " s") if limit else "any time"


def _live_locks(sql: str, catalog: Catalog) -> Locks:
    """Return the locks by the name of the table, for tables that are there."""
    locks: Locks = {}
    for name, mode in find_locks(sql).items():
        table = catalog.table(name)
        if table and table.is_live:
            locks[table.name] = max(mode, locks.get(table.name, mode))
    return locks
