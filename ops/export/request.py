"""What an export is asked for, and the parts that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from ops.export.dataset import Dataset
from ops.export.files import FileFormat
from ops.operations.scope import Scope

DEFAULT_AUDIT_ROWS = 1000


@dataclass(frozen=True)
class ExportRequest:
    """``audit_last`` is how many of the last audit rows, None for all; ``overwrite`` replaces an export."""

    form: FileFormat = field(default_factory=FileFormat)
    scope: Scope = field(default_factory=Scope)
    audit_last: int | None = DEFAULT_AUDIT_ROWS
    overwrite: bool = False

    def parts(self) -> Sequence[Dataset]:
        """What the project says in its setting EXPORT_PARTS."""
        build = cast("Callable[[Scope, int | None], Sequence[Dataset]]", import_string(settings.EXPORT_PARTS))
        return build(self.scope, self.audit_last)

    def as_json(self) -> dict[str, Any]:
        """What the workers read: rows that a queryset finds now are written down by their keys."""
        keys = self.scope.materialize().keys
        return {
            "format": self.form.format,
            "compress": self.form.compress,
            "filter": dict(self.scope.filter),
            "keys": None if keys is None else sorted(keys),
            "audit_last": self.audit_last,
            "overwrite": self.overwrite,
        }

    def as_told(self) -> dict[str, Any]:
        """What the summary says of it: how many rows were ticked, not which."""
        keys = self.scope.materialize().keys
        audit = "all" if self.audit_last is None else self.audit_last
        return {
            "auditLogs": audit,
            "filter": dict(self.scope.filter),
            "ticked": None if keys is None else len(keys),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> ExportRequest:
        keys = None if told["keys"] is None else frozenset(told["keys"])
        form = FileFormat(told["format"], told["compress"])
        return cls(form, Scope(told["filter"], keys), told["audit_last"], told["overwrite"])
