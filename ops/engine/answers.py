"""What ``process`` said of its rows, sorted into values to set and failures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from ops.operation import Operation
from ops.sql.compile import fields_named


class _Encoder(DjangoJSONEncoder):
    """Django's cuts times to milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | time) else super().default(o)


@dataclass
class Answers:
    """``told`` holds a JSON document ``{"pk", "version", "values"}`` a row; ``failures`` reasons by key."""

    told: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def answers_of(operation: Operation, rows: Sequence[Any], results: Mapping[Any, Any]) -> Answers:
    answers = Answers()
    for row in rows:
        try:
            values = _as_columns(operation, results.get(row.pk))
            document = {"pk": row.pk, "version": row.row_version_, "values": values}
            answers.told.append(json.dumps(document, cls=_Encoder))
        except Exception as exc:
            answers.failures[str(row.pk)] = str(exc) or type(exc).__name__
    return answers


def _as_columns(operation: Operation, result: Mapping[str, Any] | Exception | None) -> dict[str, Any]:
    if isinstance(result, Exception):
        raise result
    if not result:
        raise ValueError("process() returned nothing for this row")
    if unknown := set(result) - set(operation.get_columns()):
        raise ValueError(f"process() returned {', '.join(sorted(unknown))}, which columns does not name")
    fields = fields_named(operation.model, result)
    return {str(field.column): value for field, value in zip(fields, result.values(), strict=True)}
