"""The summary of an export: what a reader can hold its files against."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejson
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ops.exceptions import InvalidContent, OpsError
from ops.export.files import FileFormat, FileResult, list_file_formats
from ops.export.reader import ExpectedFile, ExportFile
from ops.formatting import quote_truncated, truncate
from ops.json_reader import DuplicateKey, ExactDecoder, format_decode_error

SUMMARY_FILENAME = "export_summary.json"
_MAX_CHARS = 1 << 24  # characters
_MAX_COUNT = 1 << 63
_FILE_KEYS = ("rows", "bytes", "sha256")


class NotAnExportFolder(OpsError):
    """The folder has no export in it: the command was given the wrong words."""

    exit_status = 2


@dataclass(frozen=True)
class Summary:
    """Times are ISO 8601; ``counts`` has the names that the Node backend gave them."""

    exported_at: str
    seconds: float
    snapshot: str
    form: FileFormat
    files: Mapping[str, FileResult]  # by the name of the part
    migrations: Mapping[str, list[str]]
    asked: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "exportedAt": self.exported_at,
            "counts": {_to_camel_case(part): written.rows for part, written in self.files.items()},
            "kyndo": settings.VERSION,
            "seconds": self.seconds,
            "snapshot": self.snapshot,
            "asked": self.asked,
            "files": {self.form.file_name(part): w.as_json() for part, w in self.files.items()},
            "migrations": self.migrations,
        }

    def write(self, folder: Path) -> None:
        with (folder / SUMMARY_FILENAME).open("x", encoding="utf-8") as file:
            json.dump(self.as_json(), file, indent=2, ensure_ascii=False)
            file.write("\n")


@dataclass(frozen=True)
class ExportFolder:
    """A folder with an export in it, KYNDO's or the Node backend's, which says no version."""

    folder: Path
    exported_at: str
    version: str | None
    files: Mapping[str, ExportFile]  # by the name of the part

    @property
    def is_ours(self) -> bool:
        return self.version is not None


def open_export(folder: Path, parts: Sequence[str]) -> ExportFolder:
    """Read the summary, and see that each part has its file. Raises NoExport and BadContent."""
    told = _read_summary(folder)
    exported_at, version = _get_text(told, "exportedAt"), _get_text(told, "kyndo")
    promises = _expected_files(told, parts) if version is not None else _legacy_expected_files(told, parts)
    missing = [part for part in parts if part not in promises]
    if missing:
        raise InvalidContent(f"{folder / SUMMARY_FILENAME} names no file of {', '.join(missing)}.")
    files = {part: ExportFile(part, folder / promises[part][0], promises[part][1]) for part in parts}
    for file in files.values():
        if not os.path.lexists(file.path):
            raise InvalidContent(f"{folder} is no whole export: {file.path.name} is missing.")
    return ExportFolder(folder, exported_at or "a time that it does not say", version, files)


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY_FILENAME
    try:
        with path.open(encoding="utf-8") as file:
            told = ExactDecoder().decode(file.read(_MAX_CHARS))
    except simplejson.JSONDecodeError as exc:
        reason = f"{format_decode_error(exc)} at line {exc.lineno}, column {exc.colno}"
        raise InvalidContent(f"{path} is damaged: not JSON: {reason}.") from exc
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) or "\0" in str(path):
            raise NotAnExportFolder(_read_error_message(path, exc)) from exc
        raise InvalidContent(f"{path} is damaged: {truncate(str(exc), 100)}.") from exc
    if isinstance(told, DuplicateKey):
        raise InvalidContent(f'{path} gives "{truncate(told.key)}" twice.')
    if not isinstance(told, dict) or not isinstance(told.get("counts"), dict):
        raise InvalidContent(f"{path} is no summary of an export: it has no counts.")
    return told


def _read_error_message(path: Path, exc: Exception) -> str:
    if isinstance(exc, FileNotFoundError) and path.parent.is_dir():
        return f"There is no export in {path.parent}: it has no {SUMMARY_FILENAME}."
    if isinstance(exc, PermissionError):
        return f"{path} cannot be read: {exc.strerror}."
    return f"There is no export in {path.parent}: {getattr(exc, 'strerror', exc)}."


def _get_text(told: dict[str, Any], key: str) -> str | None:
    """What the summary says under a key, to be shown; None where it says nothing."""
    value = told.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidContent(f"{SUMMARY_FILENAME} is damaged: {key} is not text.")
    return truncate(value)


def _expected_files(told: dict[str, Any], parts: Sequence[str]) -> dict[str, tuple[str, ExpectedFile]]:
    """The file of each part, by names that an export gives and no others: none leads out of the folder."""
    names = {form.file_name(part): part for part in parts for form in list_file_formats()}
    found: dict[str, tuple[str, ExpectedFile]] = {}
    for name, said in _get_files(told).items():
        if name not in names:
            raise InvalidContent(
                f"{SUMMARY_FILENAME} names the file {quote_truncated(name)}, which no export has."
            )
        part, promise = names[name], _parse_expected_file(name, said)
        if part in found:
            raise InvalidContent(
                f"{SUMMARY_FILENAME} names two files of {part}: {found[part][0]} and {name}."
            )
        if told["counts"].get(_to_camel_case(part)) != promise.rows:
            raise InvalidContent(
                f"{SUMMARY_FILENAME} contradicts itself: its counts are not the rows of {name}."
            )
        found[part] = (name, promise)
    return found


def _get_files(told: dict[str, Any]) -> dict[str, Any]:
    files = told.get("files", {})
    if not isinstance(files, dict):
        raise InvalidContent(f"{SUMMARY_FILENAME} is damaged: files is no object that names the files.")
    return files


def _parse_expected_file(name: str, said: Any) -> ExpectedFile:
    rows, size, digest = (said.get(key) for key in _FILE_KEYS) if isinstance(said, dict) else (None,) * 3
    if not (_is_count(rows) and _is_count(size) and isinstance(digest, str)):
        raise InvalidContent(f"{SUMMARY_FILENAME} does not say the rows, bytes and sha256 of {name}.")
    return ExpectedFile(rows, size, truncate(digest, 64))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MAX_COUNT


def _legacy_expected_files(told: dict[str, Any], parts: Sequence[str]) -> dict[str, tuple[str, ExpectedFile]]:
    """What the Node backend's summary says: one number for each file, whose name it spells in its own way."""
    counts = {_normalize_name(name): count for name, count in told["counts"].items() if _is_count(count)}
    return {part: (f"{part}.json", ExpectedFile(counts.get(_normalize_name(part)))) for part in parts}


def _normalize_name(name: str) -> str:
    return name.replace("_", "").lower()


def read_applied_migrations() -> dict[str, list[str]]:
    """The applied migrations of each app, those of apps that are no more included."""
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied


def _to_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
