"""The summary of an export: what a reader can hold its files against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops.export.files import Form, Written

SUMMARY = "export_summary.json"


@dataclass(frozen=True)
class Summary:
    """Times are ISO 8601; ``counts`` has the names that the Node backend gave them."""

    exported_at: str
    seconds: float
    snapshot: str
    form: Form
    files: Mapping[str, Written]  # by the name of the part
    migrations: Mapping[str, list[str]]

    def as_json(self) -> dict[str, Any]:
        return {
            "exportedAt": self.exported_at,
            "counts": {_camel(part): written.rows for part, written in self.files.items()},
            "kyndo": settings.VERSION,
            "seconds": self.seconds,
            "snapshot": self.snapshot,
            "files": {self.form.file_name(part): w.as_json() for part, w in self.files.items()},
            "migrations": self.migrations,
        }

    def write(self, folder: Path) -> None:
        with (folder / SUMMARY).open("x", encoding="utf-8") as file:
            json.dump(self.as_json(), file, indent=2, ensure_ascii=False)
            file.write("\n")


def applied_migrations() -> dict[str, list[str]]:
    """The applied migrations of each app, those of apps that are no more included."""
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
