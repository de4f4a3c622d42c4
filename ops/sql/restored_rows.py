"""The rows of which a revert has set all cells back."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from ops.models import AuditLog
from ops.sql.query import fetch_all

_RESTORED_SQL = """
SELECT pair.run_id, pair.revert_id, count(*)
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (run_id, revert_id)
JOIN {audit} AS changed ON changed.run_id = pair.run_id
JOIN {audit} AS restored ON restored.run_id = pair.revert_id AND restored.object_id = changed.object_id
WHERE restored.changes ?& ARRAY(SELECT jsonb_object_keys(changed.changes))
GROUP BY pair.run_id, pair.revert_id
"""


def count_restored_rows(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Count the rows of a run whose changed columns its revert has all written, by (run, revert)."""
    if not pairs:
        return {}
    runs, reverts = map(list, zip(*pairs, strict=True))
    statement = _RESTORED_SQL.format(audit=connection.ops.quote_name(AuditLog._meta.db_table))
    found = {(run, revert): rows for run, revert, rows in fetch_all(statement, runs, reverts)}
    return {pair: found.get(pair, 0) for pair in pairs}
