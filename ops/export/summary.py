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

from ops import words
from ops.exceptions import BadContent, OpsError
from ops.export.files import Form, Written, every_form
from ops.export.read import ExportFile, Promise
from ops.json_reader import Decoder, Repeated, reason_of

SUMMARY = "export_summary.json"
_LARGEST = 1 << 24  # characters
_MOST = 1 << 63
_PROMISED = ("rows", "bytes", "sha256")


class NoExport(OpsError):
    """The folder has no export in it: the command was given the wrong words."""

    exit_status = 2


@dataclass(frozen=True)
class Summary:
    """Times are ISO 8601; ``counts`` has the names that the Node backend gave them."""

    exported_at: str
    seconds: float
    snapshot: str
    form: Form
    files: Mapping[str, Written]  # by the name of the part
    migrations: Mapping[str, list[str]]
    asked: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "exportedAt": self.exported_at,
            "counts": {_camel(part): written.rows for part, written in self.files.items()},
            "kyndo": settings.VERSION,
            "seconds": self.seconds,
            "snapshot": self.snapshot,
            "asked": self.asked,
            "files": {self.form.file_name(part): w.as_json() for part, w in self.files.items()},
            "migrations": self.migrations,
        }

    def write(self, folder: Path) -> None:
        with (folder / SUMMARY).open("x", encoding="utf-8") as file:
            json.dump(self.as_json(), file, indent=2, ensure_ascii=False)
            file.write("\n")


@dataclass(frozen=True)
class Export:
    """A folder with an export in it, KYNDO's or the Node backend's, which says no version."""

    folder: Path
    exported_at: str
    version: str | None
    files: Mapping[str, ExportFile]  # by the name of the part

    @property
    def is_ours(self) -> bool:
        return self.version is not None


def open_export(folder: Path, parts: Sequence[str]) -> Export:
    """Read the summary, and see that each part has its file. Raises NoExport and BadContent."""
    told = _read(folder)
    exported_at, version = _text(told, "exportedAt"), _text(told, "kyndo")
    promises = _promises(told, parts) if version is not None else _counts(told, parts)
    missing = [part for part in parts if part not in promises]
    if missing:
        raise BadContent(f"{folder / SUMMARY} names no file of {', '.join(missing)}.")
    files = {part: ExportFile(part, folder / promises[part][0], promises[part][1]) for part in parts}
    for file in files.values():
        if not os.path.lexists(file.path):
            raise BadContent(f"{folder} is no whole export: {file.path.name} is missing.")
    return Export(folder, exported_at or "a time that it does not say", version, files)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    try:
        with path.open(encoding="utf-8") as file:
            told = Decoder().decode(file.read(_LARGEST))
    except simplejson.JSONDecodeError as exc:
        reason = f"{reason_of(exc)} at line {exc.lineno}, column {exc.colno}"
        raise BadContent(f"{path} is damaged: not JSON: {reason}.") from exc
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) or "\0" in str(path):
            raise NoExport(_unread(path, exc)) from exc
        raise BadContent(f"{path} is damaged: {words.cut(str(exc), 100)}.") from exc
    if isinstance(told, Repeated):
        raise BadContent(f'{path} gives "{words.cut(told.key)}" twice.')
    if not isinstance(told, dict) or not isinstance(told.get("counts"), dict):
        raise BadContent(f"{path} is no summary of an export: it has no counts.")
    return told


def _unread(path: Path, exc: Exception) -> str:
    if isinstance(exc, FileNotFoundError) and path.parent.is_dir():
        return f"There is no export in {path.parent}: it has no {SUMMARY}."
    if isinstance(exc, PermissionError):
        return f"{path} cannot be read: {exc.strerror}."
    return f"There is no export in {path.parent}: {getattr(exc, 'strerror', exc)}."


def _text(told: dict[str, Any], key: str) -> str | None:
    """What the summary says under a key, to be shown; None where it says nothing."""
    value = told.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadContent(f"{SUMMARY} is damaged: {key} is not text.")
    return words.cut(value)


def _promises(told: dict[str, Any], parts: Sequence[str]) -> dict[str, tuple[str, Promise]]:
    """The file of each part, by names that an export gives and no others: none leads out of the folder."""
    names = {form.file_name(part): part for part in parts for form in every_form()}
    found: dict[str, tuple[str, Promise]] = {}
    for name, said in _files(told).items():
        if name not in names:
            raise BadContent(f"{SUMMARY} names the file {words.quoted(name)}, which no export has.")
        part, promise = names[name], _promise(name, said)
        if part in found:
            raise BadContent(f"{SUMMARY} names two files of {part}: {found[part][0]} and {name}.")
        if told["counts"].get(_camel(part)) != promise.rows:
            raise BadContent(f"{SUMMARY} contradicts itself: its counts are not the rows of {name}.")
        found[part] = (name, promise)
    return found


def _files(told: dict[str, Any]) -> dict[str, Any]:
    files = told.get("files", {})
    if not isinstance(files, dict):
        raise BadContent(f"{SUMMARY} is damaged: files is no object that names the files.")
    return files


def _promise(name: str, said: Any) -> Promise:
    rows, size, digest = (said.get(key) for key in _PROMISED) if isinstance(said, dict) else (None,) * 3
    if not (_is_count(rows) and _is_count(size) and isinstance(digest, str)):
        raise BadContent(f"{SUMMARY} does not say the rows, bytes and sha256 of {name}.")
    return Promise(rows, size, words.cut(digest, 64))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _counts(told: dict[str, Any], parts: Sequence[str]) -> dict[str, tuple[str, Promise]]:
    """What the Node backend's summary says: one number for each file, whose name it spells in its own way."""
    counts = {_plain(name): count for name, count in told["counts"].items() if _is_count(count)}
    return {part: (f"{part}.json", Promise(counts.get(_plain(part)))) for part in parts}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def applied_migrations() -> dict[str, list[str]]:
    """The applied migrations of each app, those of apps that are no more included."""
    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
