"""The results of ``process()``, divided into values to write and failures."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error

from ops.operations import user_code
from ops.operations.base import Operation
from ops.sql.compile import get_model_fields

_INFRASTRUCTURE_ERRORS = (Error, ConnectionError, TimeoutError, MemoryError)
_ROW_FILE_ERRNOS = (
    None,
    errno.ENOENT,
    errno.EACCES,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
)


class _MicrosecondJSONEncoder(DjangoJSONEncoder):
    """Django's encoder truncates times to milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | time) else super().default(o)


@dataclass
class ProcessResults:
    """``documents`` are JSON, one a row: ``{"pk", "version", "values"}``; ``failures`` are errors by key."""

    documents: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


class ProcessFailed(Exception):
    """``process`` raised instead of returning a result for each of the rows; ``reason``: what, and where."""

    def __init__(self, rows: Sequence[Any], reason: str) -> None:
        super().__init__(reason)
        self.rows = rows


def process_rows(operation: Operation, rows: Sequence[Any]) -> ProcessResults:
    """Process the rows.

    Raises ProcessFailed, and unchanged any error that no row can be at fault for.
    """
    try:
        results = operation.process(rows) if rows else {}
        if not isinstance(results, Mapping):
            raise TypeError(f"process() returned {type(results).__name__}, not a mapping by primary key")
    except Exception as exc:
        if _is_infrastructure_error(exc):
            raise
        raise ProcessFailed(rows, user_code.format_exception(exc)) from exc
    return _partition_results(operation, rows, results)


def _is_infrastructure_error(error: BaseException) -> bool:
    """Whether a server is unavailable, or a disk or the memory is full.

    Any database error counts: ops.sqlstates classifies them. A library's error (of requests, say) counts by
    the error that it was raised from.
    """
    if isinstance(error, _INFRASTRUCTURE_ERRORS) or (
        isinstance(error, OSError) and error.errno not in _ROW_FILE_ERRNOS
    ):
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and _is_infrastructure_error(cause)


def _partition_results(
    operation: Operation, rows: Sequence[Any], results: Mapping[Any, Any]
) -> ProcessResults:
    partition = ProcessResults()
    for row in rows:
        try:
            values = _values_by_column(operation, results.get(row.pk))
            document = {"pk": row.pk, "version": row.row_version_, "values": values}
            partition.documents.append(json.dumps(document, cls=_MicrosecondJSONEncoder))
        except Exception as exc:
            partition.failures[str(row.pk)] = str(exc) or type(exc).__name__
    return partition


def _values_by_column(operation: Operation, result: Mapping[str, Any] | Exception | None) -> dict[str, Any]:
    if isinstance(result, Exception):
        raise result
    if not result:
        raise ValueError("process() returned nothing for this row")
    if unknown := set(result) - set(operation.get_columns()):
        raise ValueError(f"process() returned {', '.join(sorted(unknown))}, not declared in columns")
    fields = get_model_fields(operation.model, result)
    return {str(field.column): value for field, value in zip(fields, result.values(), strict=True)}
