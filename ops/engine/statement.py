"""The one statement of a batch: it changes the rows, audits them and moves the cursor, or does none of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from django.db import connection, models
from psycopg import sql

from ops.models import AuditLog, Lane
from ops.operations.base import Operation
from ops.operations.compiler import annotate_new_values, new_value_alias, select_changes, written_fields
from ops.sql.changes import ColumnChange, build_changes_json
from ops.sql.compile import (
    BoundParam,
    CompiledStatement,
    auto_now_assignments,
    compile_merge,
    compile_select,
    format_assignment,
    identifier,
    is_json,
    row_ctid,
    type_name,
    unqualified_table_name,
)
from ops.sql.keyset import Keyset
from ops.sql.side_effects import is_mergeable


@dataclass(frozen=True)
class BatchBounds:
    """How far a batch may go: at most ``limit`` rows, up to ``key`` (text), which is ``last`` of the lane."""

    limit: int
    key: str | None
    is_lane_end: bool


# More rows than any batch has.
_NO_LIMIT = 2**31


@dataclass(frozen=True)
class BatchResult:
    """What a batch did: the rows it selected, those it changed and audited, where it left its lane."""

    selected: int
    changed: int
    cursor: str | None = None


# Note [Three ways to lock the rows of a batch]
# SKIPPING locks the rows first, and passes those that a player holds. It then changes them where they lie, so
# that the UPDATE need not look for each in the key's index: a sixth of the statement. Its snapshot is older
# than the locks, though: of a row that somebody changed in between, the place is that of a version which the
# snapshot does not see. Such a row is locked but not changed, and the next sweep has it. WAITING, the way of
# the last sweep, which has none after it, waits for each row before the statement, whose snapshot is then
# newer than the lock, and finds the row by its key.
#
# AT_ONCE changes the span without locking its rows first, and so more rows a second. It takes a server that
# returns old values, and it can neither skip nor stop after so many rows: the span may hold no more than a
# batch may change, and where it meets a row that a player holds it gives up after a few milliseconds, and the
# span is done SKIPPING. Of a row that it waited for, it asks other tables nothing anew, so that a queryset
# which asks them is never done AT_ONCE.
#
# Note [Why MERGE, where UPDATE returns old values too]
# UPDATE ... RETURNING OLD of PostgreSQL 18.4 tells the row of the statement's snapshot, not the row that it
# replaced, if the table has a BEFORE UPDATE row trigger and somebody changed and committed it in between.
# MERGE tells the row that it replaced (tried on 18.4; UPDATE is mended in 18.6 and 19rc1). All its conditions
# stand in ON, over a source of one row, or of rows that nobody changes: only then are they asked anew of the
# newest version of a row. MERGE refuses a table with rules, and raises where row-level security lets UPDATE
# pass a row by.
class LockMode(Enum):
    """How a batch comes by the locks of its rows."""

    MERGE = auto()
    SKIP_LOCKED = auto()
    WAIT = auto()


def may_merge(model: type[models.Model]) -> bool:
    """Whether a batch may be AT_ONCE: see Note [Why MERGE, where UPDATE returns old values too]."""
    version: int = connection.pg_version  # type: ignore[attr-defined]
    return version >= 180_000 and is_mergeable(model)


def compile_change(
    operation: Operation, rows: models.QuerySet[Any], keyset: Keyset, way: LockMode
) -> CompiledStatement | None:
    """The statement that changes the rows, with slots for its bounds."""
    if way is LockMode.MERGE:
        return _compile_merge_statement(operation, rows, keyset)
    placed = rows.order_by(keyset.order_key).annotate(place_=row_ctid(operation.model))
    batch = compile_select(select_changes(placed, operation, "place_"))
    if batch is None:
        return None
    # Of this table alone: entries of a list of keys are never locked.
    lock = sql.SQL(" LIMIT %s FOR NO KEY UPDATE OF {table} {skip}").format(
        table=unqualified_table_name(operation.model),
        skip=sql.SQL("SKIP LOCKED" if way is LockMode.SKIP_LOCKED else ""),
    )
    return CompiledStatement(
        _compose_statement(
            operation, sql.SQL(batch.sql) + lock, by_place=way is LockMode.SKIP_LOCKED, keyset=keyset
        ),
        batch.params,
    )


def _compile_merge_statement(
    operation: Operation, rows: models.QuerySet[Any], keyset: Keyset
) -> CompiledStatement | None:
    source = keyset.key_list.source if keyset.key_list else sql.SQL("(SELECT 1) AS once_")
    fields = {new_value_alias(field): field for field in written_fields(operation)}
    merge = compile_merge(annotate_new_values(rows.order_by(), operation), fields, source)
    if merge is None:
        return None
    columns = [identifier(field.column) for field in fields.values()]
    returned = [sql.SQL("before_.{}").format(column) for column in columns]
    returned += [sql.SQL("after_.{}").format(column) for column in columns]
    statement = sql.SQL(
        "WITH changed ({names}) AS ({merge} RETURNING WITH (OLD AS before_, NEW AS after_)"
        " after_.{pk}, {returned}), audited AS ({audit}) {move}"
    ).format(
        names=_changed_columns("pk", values=len(columns)),
        merge=sql.SQL(merge.sql),
        pk=identifier(operation.model._meta.pk.column),
        returned=sql.SQL(", ").join(returned),
        audit=_audit_clause(operation),
        move=_advance_cursor_clause("changed", sql.SQL("changed.pk")),
    )
    return CompiledStatement(statement.as_string(connection.connection), merge.params)


def _changed_columns(*first: str, values: int) -> sql.Composable:
    names = [*first, *(f"old_{i}" for i in range(values)), *(f"new_{i}" for i in range(values))]
    return sql.SQL(", ").join(map(sql.Identifier, names))


def execute_change(
    change: CompiledStatement | None, operation: Operation, lane: Lane, reach: BatchBounds, way: LockMode
) -> BatchResult:
    """Change the first rows within reach; AT_ONCE, all of them. In a transaction."""
    if change is None:
        Lane.objects.filter(pk=lane.pk).update(finished=True)
        return BatchResult(0, 0)
    params = change.bind(
        {BoundParam.AFTER: lane.position, BoundParam.UPPER: lane.upper, BoundParam.KEY: reach.key}
    )
    if way is LockMode.MERGE:
        return _execute_statement(change.sql, params, operation, lane, replace(reach, limit=_NO_LIMIT))
    return _execute_statement(change.sql, (*params, reach.limit), operation, lane, reach)


def write_process_results(
    operation: Operation, told: Iterable[str], lane: Lane, reach: BatchBounds, waits: bool
) -> BatchResult:
    """Set what ``process`` returned, where the row still has the version that was read. In a transaction.

    ``told`` are JSON documents ``{"pk", "version", "values"}``; ``waits`` for locked rows, or skip them.
    """
    meta = operation.model._meta
    old = [sql.SQL("current.{}").format(identifier(f.column)) for f in written_fields(operation)]
    new = [_new_value(operation, f) for f in written_fields(operation)]
    source = sql.SQL(
        "SELECT {columns} FROM jsonb_to_recordset(%s::jsonb) AS told (pk {type}, version text, values jsonb)"
        " JOIN {table} AS current ON current.{pk} = told.pk AND current.xmin::text = told.version"
        " ORDER BY told.pk FOR NO KEY UPDATE OF current {skip}"
    ).format(
        columns=sql.SQL(", ").join([sql.SQL("current.ctid, told.pk"), *old, *new]),
        type=sql.SQL(type_name(meta.pk)),
        table=identifier(meta.db_table),
        pk=identifier(meta.pk.column),
        skip=sql.SQL("" if waits else "SKIP LOCKED"),
    )
    statement = _compose_statement(operation, source, by_place=False, keyset=Keyset(operation.model))
    return _execute_statement(statement, (f"[{','.join(told)}]",), operation, lane, reach)


def _new_value(operation: Operation, field: models.Field[Any, Any]) -> sql.Composable:
    """The told value as its column's type; the old one where ``process`` did not give it."""
    key, column = sql.Literal(field.column), identifier(field.column)
    told = sql.SQL("nullif(told.values -> {}, 'null')").format(key)
    if not is_json(field):
        told = sql.SQL("(jsonb_populate_record(NULL::{}, told.values)).{}").format(
            identifier(operation.model._meta.db_table), column
        )
    return sql.SQL("CASE WHEN told.values ? {} THEN {} ELSE current.{} END").format(key, told, column)


def _compose_statement(operation: Operation, source: sql.Composable, by_place: bool, keyset: Keyset) -> str:
    statement = sql.SQL(
        "WITH batch ({names}) AS MATERIALIZED ({source}), changed AS ({update}), audited AS ({audit}) {move}"
    ).format(
        names=_changed_columns("place", "pk", values=len(written_fields(operation))),
        source=source,
        update=_update_clause(operation, by_place),
        audit=_audit_clause(operation),
        move=_advance_cursor_clause(
            "batch", sql.SQL('batch.pk::text COLLATE "default"' if keyset.key_list else "batch.pk")
        ),
    )
    return statement.as_string(connection.connection)


def _execute_statement(
    statement: str, params: tuple[Any, ...], operation: Operation, lane: Lane, reach: BatchBounds
) -> BatchResult:
    audit_params = (lane.run.pk, operation.name, lane.run.model, lane.run.performed_by)
    move_params = (reach.limit, reach.key, reach.limit, reach.is_lane_end, lane.pk)
    with connection.cursor() as cursor:
        cursor.execute(statement, (*params, *audit_params, *move_params))
        return BatchResult(*cursor.fetchone())


def _update_clause(operation: Operation, by_place: bool) -> sql.Composable:
    meta = operation.model._meta
    assignments = [
        format_assignment(field, sql.SQL("batch.{}").format(sql.Identifier(f"new_{i}")))
        for i, field in enumerate(written_fields(operation))
    ]
    assignments += auto_now_assignments(operation.model)
    kept = [
        sql.SQL("batch.{old}, target.{column} AS {new}").format(
            old=sql.Identifier(f"old_{i}"), column=identifier(field.column), new=sql.Identifier(f"new_{i}")
        )
        for i, field in enumerate(written_fields(operation))
    ]
    return sql.SQL(
        "UPDATE {table} AS target SET {assignments} FROM batch"
        " WHERE target.{pk} = batch.pk {place} RETURNING batch.pk, {kept}"
    ).format(
        table=identifier(meta.db_table),
        assignments=sql.SQL(", ").join(assignments),
        pk=identifier(meta.pk.column),
        place=sql.SQL("AND target.ctid = batch.place" if by_place else ""),
        kept=sql.SQL(", ").join(kept),
    )


def _audit_clause(operation: Operation) -> sql.Composable:
    changes = build_changes_json(
        ColumnChange(field, sql.Identifier(f"old_{i}"), sql.Identifier(f"new_{i}"), condition=sql.SQL("TRUE"))
        for i, field in enumerate(written_fields(operation))
    )
    return sql.SQL(
        "INSERT INTO {table} (run_id, action, object_type, object_id, performed_by, changes)"
        " SELECT %s, %s, %s, pk::text, %s, {changes} FROM changed RETURNING 1"
    ).format(table=identifier(AuditLog._meta.db_table), changes=changes)


def _advance_cursor_clause(selected: str, order: sql.Composable) -> sql.Composable:
    lane = identifier(Lane._meta.db_table)
    # Qualified: a bare pk would be the text that is selected.
    return sql.SQL(_ADVANCE_CURSOR_SQL).format(lane=lane, selected=sql.Identifier(selected), order=order)


# A full batch may have left rows of its span behind, so the cursor stops at the last row that it took.
_ADVANCE_CURSOR_SQL = """
UPDATE {lane} SET
    cursor = CASE WHEN (SELECT count(*) FROM {selected}) < %s THEN %s
        ELSE (SELECT pk::text FROM {selected} ORDER BY {order} DESC LIMIT 1) END,
    finished = (SELECT count(*) FROM {selected}) < %s AND %s,
    changed = changed + (SELECT count(*) FROM audited),
    batches = batches + 1,
    busy = busy + least(greatest(clock_timestamp() - transaction_timestamp(), '0'), '10 min'),
    heartbeat_at = clock_timestamp()
WHERE id = %s
RETURNING (SELECT count(*) FROM {selected}), (SELECT count(*) FROM audited), cursor
"""
