"""The request for an export: its rows, its format, and the datasets that they give."""

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
    """``audit_last``: how many of the newest audit rows, None for all; ``overwrite``: replace an export."""

    file_format: FileFormat = field(default_factory=FileFormat)
    scope: Scope = field(default_factory=Scope)
    audit_last: int | None = DEFAULT_AUDIT_ROWS
    overwrite: bool = False

    def datasets(self) -> Sequence[Dataset]:
        """Build the datasets by the function that the setting EXPORT_PARTS names. Raises InvalidScope."""
        build = cast("Callable[[Scope, int | None], Sequence[Dataset]]", import_string(settings.EXPORT_PARTS))
        return build(self.scope, self.audit_last)

    def as_json(self) -> dict[str, Any]:
        """Return what is stored for the workers; a scope given by a queryset becomes the keys of its rows."""
        keys = self.scope.materialize().keys
        return {
            "format": self.file_format.format,
            "compress": self.file_format.compress,
            "filter": dict(self.scope.filter),
            "keys": None if keys is None else sorted(keys),
            "audit_last": self.audit_last,
            "overwrite": self.overwrite,
        }

    def as_summary(self) -> dict[str, Any]:
        """Return what the summary says of the request: how many rows were chosen, not which."""
        keys = self.scope.materialize().keys
        return {
            "auditLogs": "all" if self.audit_last is None else self.audit_last,
            "filter": dict(self.scope.filter),
            "ticked": None if keys is None else len(keys),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ExportRequest:
        """Rebuild the request from what ``as_json`` returned."""
        keys = None if stored["keys"] is None else frozenset(stored["keys"])
        file_format = FileFormat(stored["format"], stored["compress"])
        return cls(file_format, Scope(stored["filter"], keys), stored["audit_last"], stored["overwrite"])
