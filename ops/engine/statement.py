"""The one statement of a batch: it changes the rows, inserts their audit rows and moves the cursor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from django.db import connection, models
from psycopg import sql

from ops.models import Lane
from ops.operations.base import Operation
from ops.operations.compiler import annotate_new_values, new_value_alias, select_changes, written_fields
from ops.sql.changes import changed_column, insert_audit_rows_clause
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
    """At most ``limit`` rows, up to and including ``key`` (as text; None: no upper bound).

    ``is_lane_end``: no keys are left in the lane after these.
    """

    limit: int
    key: str | None
    is_lane_end: bool


# More rows than any batch has.
_NO_LIMIT = 2**31


@dataclass(frozen=True)
class BatchResult:
    """How many rows a batch selected, how many it changed and audited, and the lane's cursor after it."""

    selected: int
    changed: int
    cursor: str | None = None


# Note [Lock modes of a batch]
# SKIP_LOCKED locks the rows first, and skips those that a player has locked. It then updates them by their
# ctid, so that the UPDATE need not find each in the key's index: a sixth of the statement. Its snapshot is
# older than the locks, though: if somebody changed a row in between, the snapshot's ctid is that of an older
# version. Such a row is locked but not changed, and the next sweep tries it again.
#
# WAIT is the mode of the last sweep, after which no sweep follows. A statement of its own waits for the row
# and locks it, so that the snapshot of the batch's statement is newer than the lock. That statement updates
# the row by its key.
#
# MERGE changes the rows of the span without locking them first, and so more rows per second. It needs a
# server that returns old values. It can neither skip rows nor stop after a number of them, so the span may
# hold no more rows than a batch may change. If a player has locked one of the rows, the lock times out after
# a few milliseconds, and the span is done in SKIP_LOCKED mode. PostgreSQL does not evaluate subqueries over
# other tables again for a row that it waited for, so a queryset with subqueries is never done in MERGE mode.
#
# Note [Why MERGE, where UPDATE returns old values too]
# UPDATE ... RETURNING OLD of PostgreSQL 18.4 returns the row of the statement's snapshot, not the row that it
# replaced, if the table has a BEFORE UPDATE row trigger and somebody changed and committed it in between.
# MERGE returns the row that it replaced (tried on 18.4; UPDATE is fixed in 18.6 and 19rc1). All its
# conditions stand in ON, over a source of one row, or of rows that nobody changes: only then are they
# evaluated again for the newest version of a row. MERGE refuses a table with rules, and raises where
# row-level security lets UPDATE skip a row.
class LockMode(Enum):
    """How a batch locks its rows: see Note [Lock modes of a batch]."""

    MERGE = auto()
    SKIP_LOCKED = auto()
    WAIT = auto()


def may_merge(model: type[models.Model]) -> bool:
    """Whether server and table allow it: see Note [Why MERGE, where UPDATE returns old values too]."""
    version: int = connection.pg_version  # type: ignore[attr-defined]
    return version >= 180_000 and is_mergeable(model)


def compile_change(
    operation: Operation, rows: models.QuerySet[Any], keyset: Keyset, mode: LockMode
) -> CompiledStatement | None:
    """Compile the statement that changes the rows, with placeholders for its bounds.

    Returns None where the queryset is known to match no row.
    """
    if mode is LockMode.MERGE:
        return _compile_merge_statement(operation, rows, keyset)
    rows_with_ctid = rows.order_by(keyset.order_key).annotate(ctid_=row_ctid(operation.model))
    batch = compile_select(select_changes(rows_with_ctid, operation, "ctid_"))
    if batch is None:
        return None
    skip_locked = mode is LockMode.SKIP_LOCKED
    # Of this table alone: entries of a list of keys are never locked.
    lock = sql.SQL(" LIMIT %s FOR NO KEY UPDATE OF {table} {skip}").format(
        table=unqualified_table_name(operation.model),
        skip=sql.SQL("SKIP LOCKED" if skip_locked else ""),
    )
    source = sql.SQL(batch.sql) + lock
    return CompiledStatement(
        _compose_statement(operation, source, by_ctid=skip_locked, keyset=keyset), batch.params
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
        " after_.{pk}, {returned}), audited AS ({audit}) {advance_cursor}"
    ).format(
        names=_changed_columns("pk", values=len(columns)),
        merge=sql.SQL(merge.sql),
        pk=identifier(operation.model._meta.pk.column),
        returned=sql.SQL(", ").join(returned),
        audit=_audit_clause(operation),
        advance_cursor=_advance_cursor_clause("changed", sql.SQL("changed.pk")),
    )
    return CompiledStatement(statement.as_string(connection.connection), merge.params)


def _changed_columns(*first: str, values: int) -> sql.Composable:
    names = [*first, *(f"old_{i}" for i in range(values)), *(f"new_{i}" for i in range(values))]
    return sql.SQL(", ").join(map(sql.Identifier, names))


def execute_change(
    statement: CompiledStatement | None, operation: Operation, lane: Lane, bounds: BatchBounds, mode: LockMode
) -> BatchResult:
    """Change the first rows within the bounds; in MERGE mode, all of them. In a transaction."""
    if statement is None:
        Lane.objects.filter(pk=lane.pk).update(finished=True)
        return BatchResult(0, 0)
    params = statement.bind(
        {BoundParam.AFTER: lane.position, BoundParam.UPPER: lane.upper, BoundParam.KEY: bounds.key}
    )
    if mode is LockMode.MERGE:
        return _execute_statement(statement.sql, params, operation, lane, replace(bounds, limit=_NO_LIMIT))
    return _execute_statement(statement.sql, (*params, bounds.limit), operation, lane, bounds)


def write_process_results(
    operation: Operation, documents: Iterable[str], lane: Lane, bounds: BatchBounds, wait_for_locks: bool
) -> BatchResult:
    """Set what ``process`` returned, where the row still has the version that was read. In a transaction.

    ``documents`` are JSON: ``{"pk", "version", "values"}``. Waits for locked rows, or skips them.
    """
    meta = operation.model._meta
    old = [sql.SQL("current.{}").format(identifier(f.column)) for f in written_fields(operation)]
    new = [_new_value(operation, f) for f in written_fields(operation)]
    source = sql.SQL(
        "SELECT {columns}"
        " FROM jsonb_to_recordset(%s::jsonb) AS result (pk {type}, version text, values jsonb)"
        " JOIN {table} AS current ON current.{pk} = result.pk AND current.xmin::text = result.version"
        " ORDER BY result.pk FOR NO KEY UPDATE OF current {skip}"
    ).format(
        columns=sql.SQL(", ").join([sql.SQL("current.ctid, result.pk"), *old, *new]),
        type=sql.SQL(type_name(meta.pk)),
        table=identifier(meta.db_table),
        pk=identifier(meta.pk.column),
        skip=sql.SQL("" if wait_for_locks else "SKIP LOCKED"),
    )
    statement = _compose_statement(operation, source, by_ctid=False, keyset=Keyset(operation.model))
    return _execute_statement(statement, (f"[{','.join(documents)}]",), operation, lane, bounds)


def _new_value(operation: Operation, field: models.Field[Any, Any]) -> sql.Composable:
    """The value that ``process`` returned, as its column's type; the old one where it returned none."""
    key, column = sql.Literal(field.column), identifier(field.column)
    value = sql.SQL("nullif(result.values -> {}, 'null')").format(key)
    if not is_json(field):
        value = sql.SQL("(jsonb_populate_record(NULL::{}, result.values)).{}").format(
            identifier(operation.model._meta.db_table), column
        )
    return sql.SQL("CASE WHEN result.values ? {} THEN {} ELSE current.{} END").format(key, value, column)


def _compose_statement(operation: Operation, source: sql.Composable, by_ctid: bool, keyset: Keyset) -> str:
    statement = sql.SQL(
        "WITH batch ({names}) AS MATERIALIZED ({source}), changed AS ({update}), audited AS ({audit})"
        " {advance_cursor}"
    ).format(
        names=_changed_columns("row_ctid", "pk", values=len(written_fields(operation))),
        source=source,
        update=_update_clause(operation, by_ctid),
        audit=_audit_clause(operation),
        advance_cursor=_advance_cursor_clause(
            "batch", sql.SQL('batch.pk::text COLLATE "default"' if keyset.key_list else "batch.pk")
        ),
    )
    return statement.as_string(connection.connection)


def _execute_statement(
    statement: str, params: tuple[Any, ...], operation: Operation, lane: Lane, bounds: BatchBounds
) -> BatchResult:
    audit_params = (lane.run.pk, operation.name, lane.run.model, lane.run.performed_by)
    cursor_params = (bounds.limit, bounds.key, bounds.limit, bounds.is_lane_end, lane.pk)
    with connection.cursor() as cursor:
        cursor.execute(statement, (*params, *audit_params, *cursor_params))
        return BatchResult(*cursor.fetchone())


def _update_clause(operation: Operation, by_ctid: bool) -> sql.Composable:
    meta = operation.model._meta
    assignments = [
        format_assignment(field, sql.SQL("batch.{}").format(sql.Identifier(f"new_{i}")))
        for i, field in enumerate(written_fields(operation))
    ]
    assignments += auto_now_assignments(operation.model, written_fields(operation))
    values = [
        sql.SQL("batch.{old}, target.{column} AS {new}").format(
            old=sql.Identifier(f"old_{i}"), column=identifier(field.column), new=sql.Identifier(f"new_{i}")
        )
        for i, field in enumerate(written_fields(operation))
    ]
    return sql.SQL(
        "UPDATE {table} AS target SET {assignments} FROM batch"
        " WHERE target.{pk} = batch.pk {ctid_condition} RETURNING batch.pk, {values}"
    ).format(
        table=identifier(meta.db_table),
        assignments=sql.SQL(", ").join(assignments),
        pk=identifier(meta.pk.column),
        ctid_condition=sql.SQL("AND target.ctid = batch.row_ctid" if by_ctid else ""),
        values=sql.SQL(", ").join(values),
    )


def _audit_clause(operation: Operation) -> sql.Composable:
    changes = (
        changed_column(field, sql.Identifier(f"old_{i}"), sql.Identifier(f"new_{i}"), operation.is_by_cell)
        for i, field in enumerate(written_fields(operation))
    )
    return insert_audit_rows_clause(changes, operation.audit_metadata)


def _advance_cursor_clause(selected: str, order: sql.Composable) -> sql.Composable:
    lane = identifier(Lane._meta.db_table)
    # Qualified: a bare pk would be the selected text.
    return sql.SQL(_ADVANCE_CURSOR_SQL).format(lane=lane, selected=sql.Identifier(selected), order=order)


# A full batch may leave rows of its span behind, so the cursor stops at the last row that it selected. The
# rows are counted once: MATERIALIZED, since the planner would count them again for each use.
_ADVANCE_CURSOR_SQL = """
, counted AS MATERIALIZED (
    SELECT (SELECT count(*) FROM {selected}) AS selected, (SELECT count(*) FROM audited) AS audited)
UPDATE {lane} SET
    cursor = CASE WHEN counted.selected < %s THEN %s
        ELSE (SELECT pk::text FROM {selected} ORDER BY {order} DESC LIMIT 1) END,
    finished = counted.selected < %s AND %s,
    changed = changed + counted.audited,
    batches = batches + 1,
    busy = busy + least(greatest(clock_timestamp() - transaction_timestamp(), '0'), '10 min'),
    heartbeat_at = clock_timestamp()
FROM counted
WHERE id = %s
RETURNING counted.selected, counted.audited, cursor
"""
