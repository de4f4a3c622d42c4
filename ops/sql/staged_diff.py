"""The difference between staged rows and their table, kept as the rows of a change set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Field
from psycopg import sql

from ops.models import ChangeSet, StagedChange
from ops.sql.changes import ColumnChange, build_changes_json
from ops.sql.compile import identifier
from ops.sql.query import fetch_all
from ops.sql.upsert import Upsert, is_given_sql, qualified_column

# Note [A row that is to be created has its key among its changes]
# Its key is taken from the sequence when it is staged. So all that is done with the row names one key: the
# run that creates it, however often its process is killed; its audit row; and the revert, which deletes it.
# No other change is one of a key: where the key was nothing before, the row is created, and deleted where it
# is nothing afterwards.
_STAGE_SQL = """
INSERT INTO {staged_change} (change_set_id, object_id, is_new, changes)
SELECT %s, coalesce(stored_key, new_key::text), new_key IS NOT NULL, CASE WHEN new_key IS NULL THEN changes
    ELSE changes || jsonb_build_object({key_name}, jsonb_build_object('old', NULL, 'new', new_key)) END
FROM (
    SELECT target.{pk}::text AS stored_key, {position} AS position,
        CASE WHEN target.{pk} IS NULL THEN {created} ELSE {changed} END AS changes
    FROM {staged} AS staged LEFT JOIN {table} AS target ON target.{key} = staged.{key}
    WHERE target.{pk} IS NULL OR {differs} ORDER BY {position} OFFSET 0) AS differing
CROSS JOIN LATERAL (SELECT CASE WHEN stored_key IS NULL THEN nextval({sequence}) END AS new_key) AS taken
"""
_COUNT_SQL = """
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new),
    coalesce(min(id), 0), coalesce(max(id), 0)
FROM {staged_change} WHERE change_set_id = %s
"""
_COLUMNS_SQL = """
SELECT name, count(*) FROM {staged_change}, jsonb_object_keys(changes) AS name
WHERE change_set_id = %s AND NOT is_new GROUP BY name ORDER BY name
"""


# Of so many rows the planner has to know before autovacuum tells it.
_ANALYZED_ROWS = 5_000


@dataclass(frozen=True)
class DiffCounts:
    """Rows to create and to change, the keys of the first and the last of them, and cells by column."""

    created: int
    changed: int
    first: int
    last: int
    columns: dict[str, int]


def stage_diff(upsert: Upsert, change_set: ChangeSet) -> DiffCounts:
    """Stage what the upsert would create and change, in the order of its rows. In canonical output.

    JSON is compared as text: to jsonb, 1.10 and 1.1 are equal.
    """
    fields = upsert.given_audited_fields
    created = [
        ColumnChange(field, None, qualified_column("staged", field), is_given_sql(field)) for field in fields
    ]
    changed = [
        ColumnChange(
            field, qualified_column("target", field), upsert.merged_value(field), _differs(upsert, field)
        )
        for field in fields
    ]
    statement = sql.SQL(_STAGE_SQL).format(
        **upsert.identifiers,
        staged_change=identifier(StagedChange._meta.db_table),
        created=build_changes_json(created),
        changed=build_changes_json(changed),
        differs=sql.SQL("({})").format(sql.SQL(" OR ").join(_differs(upsert, field) for field in fields)),
        key_name=sql.Literal(upsert.staging.model._meta.pk.column),
        sequence=_find_sequence(upsert),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [change_set.pk])
        if cursor.rowcount > _ANALYZED_ROWS:
            cursor.execute(sql.SQL("ANALYZE {}").format(identifier(StagedChange._meta.db_table)))
    return _count(change_set)


def _differs(upsert: Upsert, field: Field[Any, Any]) -> sql.Composable:
    return sql.SQL("({} AND {}::text IS DISTINCT FROM ({})::text)").format(
        is_given_sql(field), qualified_column("target", field), upsert.merged_value(field)
    )


def _find_sequence(upsert: Upsert) -> sql.Composable:
    meta = upsert.staging.model._meta
    table = connection.ops.quote_name(meta.db_table)
    [(name,)] = fetch_all("SELECT pg_get_serial_sequence(%s, %s)", table, meta.pk.column)
    return sql.SQL("{}::regclass").format(sql.Literal(name))


def _count(change_set: ChangeSet) -> DiffCounts:
    table = identifier(StagedChange._meta.db_table)
    counts, columns = (
        sql.SQL(each).format(staged_change=table).as_string() for each in (_COUNT_SQL, _COLUMNS_SQL)
    )
    [numbers] = fetch_all(counts, change_set.pk)
    created, changed, first, last = numbers
    return DiffCounts(created, changed, first, last, dict(fetch_all(columns, change_set.pk)))
