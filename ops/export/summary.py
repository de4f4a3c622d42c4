"""The summary of an export, by which a reader checks its files."""

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
from ops.formatting import quote_truncated, to_camel_case, truncate
from ops.json_reader import DuplicateKey, ExactDecoder, format_decode_error

SUMMARY_FILENAME = "export_summary.json"
_MAX_CHARS = 1 << 24
_MAX_COUNT = 1 << 63
_FILE_KEYS = ("rows", "bytes", "sha256")


class NotAnExportFolder(OpsError):
    """The folder has no export: the arguments of the command are wrong."""

    exit_status = 2


@dataclass(frozen=True)
class Summary:
    """The contents of the summary file. Its ``counts`` have the names that the Node backend gave them."""

    exported_at: str  # ISO 8601
    seconds: float
    snapshot: str
    file_format: FileFormat
    files: Mapping[str, FileResult]  # by the name of the dataset
    migrations: Mapping[str, list[str]]
    request: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "exportedAt": self.exported_at,
            "counts": {to_camel_case(dataset): result.rows for dataset, result in self.files.items()},
            "kyndo": settings.VERSION,
            "seconds": self.seconds,
            "snapshot": self.snapshot,
            "asked": self.request,
            "files": {
                self.file_format.file_name(dataset): result.as_json()
                for dataset, result in self.files.items()
            },
            "migrations": self.migrations,
        }

    def write(self, folder: Path) -> None:
        with (folder / SUMMARY_FILENAME).open("x", encoding="utf-8") as file:
            json.dump(self.as_json(), file, indent=2, ensure_ascii=False)
            file.write("\n")


@dataclass(frozen=True)
class ExportFolder:
    """A folder with an export of KYNDO, or of the Node backend, whose summary has no version."""

    folder: Path
    exported_at: str
    version: str | None
    files: Mapping[str, ExportFile]  # by the name of the dataset

    @property
    def is_ours(self) -> bool:
        return self.version is not None


def open_export(folder: Path, datasets: Sequence[str]) -> ExportFolder:
    """Read the summary, and check that each dataset has its file.

    Raises NotAnExportFolder, InvalidContent.
    """
    summary = _read_summary(folder)
    exported_at, version = _get_text(summary, "exportedAt"), _get_text(summary, "kyndo")
    read_expected = _expected_files if version is not None else _legacy_expected_files
    expected = read_expected(summary, datasets)
    missing = [dataset for dataset in datasets if dataset not in expected]
    if missing:
        raise InvalidContent(f"{folder / SUMMARY_FILENAME} names no file of {', '.join(missing)}.")
    files = {
        dataset: ExportFile(dataset, folder / expected[dataset][0], expected[dataset][1])
        for dataset in datasets
    }
    for file in files.values():
        if not os.path.lexists(file.path):
            raise InvalidContent(f"{folder} is not a complete export: {file.path.name} is missing.")
    return ExportFolder(folder, exported_at or "an unknown time", version, files)


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY_FILENAME
    try:
        with path.open(encoding="utf-8") as file:
            summary = ExactDecoder().decode(file.read(_MAX_CHARS))
    except simplejson.JSONDecodeError as exc:
        reason = f"{format_decode_error(exc)} at line {exc.lineno}, column {exc.colno}"
        raise InvalidContent(f"{path} is damaged: not JSON: {reason}.") from exc
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) or "\0" in str(path):
            raise NotAnExportFolder(_read_error_message(path, exc)) from exc
        raise InvalidContent(f"{path} is damaged: {truncate(str(exc), 100)}.") from exc
    if isinstance(summary, DuplicateKey):
        raise InvalidContent(f'{path} gives "{truncate(summary.key)}" twice.')
    if not isinstance(summary, dict) or not isinstance(summary.get("counts"), dict):
        raise InvalidContent(f"{path} is not the summary of an export: it has no counts.")
    return summary


def _read_error_message(path: Path, exc: Exception) -> str:
    if isinstance(exc, FileNotFoundError) and path.parent.is_dir():
        return f"There is no export in {path.parent}: it has no {SUMMARY_FILENAME}."
    if isinstance(exc, PermissionError):
        return f"{path} cannot be read: {exc.strerror}."
    return f"There is no export in {path.parent}: {getattr(exc, 'strerror', exc)}."


def _get_text(summary: dict[str, Any], key: str) -> str | None:
    """Return a text of the summary, truncated for display; None where it is missing."""
    value = summary.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidContent(f"{SUMMARY_FILENAME} is damaged: {key} is not text.")
    return truncate(value)


def _expected_files(summary: dict[str, Any], datasets: Sequence[str]) -> dict[str, tuple[str, ExpectedFile]]:
    """Return the name and contents of each dataset's file.

    Only names that an export gives are accepted, so none leads out of the folder. Raises InvalidContent.
    """
    names = {
        file_format.file_name(dataset): dataset for dataset in datasets for file_format in list_file_formats()
    }
    expected_files: dict[str, tuple[str, ExpectedFile]] = {}
    for name, fields in _get_files(summary).items():
        if name not in names:
            raise InvalidContent(
                f"{SUMMARY_FILENAME} names the file {quote_truncated(name)}, which no export has."
            )
        dataset, expected = names[name], _parse_expected_file(name, fields)
        if dataset in expected_files:
            other = expected_files[dataset][0]
            raise InvalidContent(f"{SUMMARY_FILENAME} names two files of {dataset}: {other} and {name}.")
        if summary["counts"].get(to_camel_case(dataset)) != expected.rows:
            raise InvalidContent(
                f"{SUMMARY_FILENAME} contradicts itself: counts and files give {name} different rows."
            )
        expected_files[dataset] = (name, expected)
    return expected_files


def _get_files(summary: dict[str, Any]) -> dict[str, Any]:
    files = summary.get("files", {})
    if not isinstance(files, dict):
        raise InvalidContent(f"{SUMMARY_FILENAME} is damaged: files is not an object.")
    return files


def _parse_expected_file(name: str, fields: Any) -> ExpectedFile:
    rows, size, digest = (fields.get(key) for key in _FILE_KEYS) if isinstance(fields, dict) else (None,) * 3
    if not (_is_count(rows) and _is_count(size) and isinstance(digest, str)):
        raise InvalidContent(f"{SUMMARY_FILENAME} does not say the rows, bytes and sha256 of {name}.")
    return ExpectedFile(rows, size, truncate(digest, 64))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MAX_COUNT


def _legacy_expected_files(
    summary: dict[str, Any], datasets: Sequence[str]
) -> dict[str, tuple[str, ExpectedFile]]:
    """Return the same of a summary of the Node backend: it has one count per file, under names of its own."""
    counts = {_normalize_name(name): count for name, count in summary["counts"].items() if _is_count(count)}
    return {
        dataset: (f"{dataset}.json", ExpectedFile(counts.get(_normalize_name(dataset))))
        for dataset in datasets
    }


def _normalize_name(name: str) -> str:
    return name.replace("_", "").lower()


def read_applied_migrations() -> dict[str, list[str]]:
    """Read the applied migrations of each app, including apps that are no longer installed."""
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied
