"""Django system checks: settings that ops cannot use, operations that cannot be run, retired names in code.

A wrong setting is an error, which stops every command. A wrong operation is a warning: it alone is refused,
and an error would stop ``migrate`` too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string
from redis.connection import parse_url

from ops.column_changes.declaration import BaseColumnChange, ColumnChange
from ops.column_changes.registry import list_changes
from ops.column_changes.usage.code import find_references, ignore_comment
from ops.health.limits import HealthLimits
from ops.operations import registry

# The tag of the checks that every command of ops runs.
TAG = "ops"
_OPERATION_HINT = (
    "Only this operation is refused, until it is corrected. What may be declared: docs/operations.md"
)


def _is_folder(value: Any) -> bool:
    return isinstance(value, str | Path) and bool(str(value).strip())


def _is_from_1_to(maximum: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


def _is_span(value: Any) -> bool:
    return isinstance(value, timedelta) and value > timedelta()


def _is_expiry(value: Any) -> bool:
    return _is_span(value) and value <= timedelta(days=365)


def _is_age(value: Any) -> bool:
    return value is None or _is_span(value)


def _is_folder_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_folder, value))


def _is_limits(value: Any) -> bool:
    return isinstance(value, HealthLimits)


def _has_default(value: Any) -> bool:
    return isinstance(value, dict) and "default" in value and all(map(_is_queue, value.values()))


def _is_queue(value: Any) -> bool:
    """Whether it has a URL of Redis. django_rq also accepts HOST and PORT, but ops connects by the URL."""
    if not (isinstance(value, dict) and isinstance(value.get("URL"), str)):
        return False
    try:
        parse_url(value["URL"])  # type: ignore[no-untyped-call]
    except ValueError:
        return False
    return True


def _is_database(value: Any) -> bool:
    if value is None:
        return True
    if not (isinstance(value, dict) and value.get("NAME")):
        return False
    return all(not value.get(key) or isinstance(value[key], kind) for key, kind in _DATABASE_TYPES.items())


_MAX_SECONDS = 24 * 60 * 60
_MAX_WORKERS = 256
# By key of a database: the type of its value, where it has one.
_DATABASE_TYPES: dict[str, Any] = {
    **dict.fromkeys(("NAME", "HOST", "USER", "PASSWORD"), str),
    "PORT": str | int,
    "OPTIONS": dict,
}
# By setting: whether a value can be used, and what to write instead.
_SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "BACKUP_DIR": (_is_folder, 'Give a folder, for example Path("backups").'),
    "DIRECT_DATABASE": (
        _is_database,
        'Give a dict as in DATABASES, for example {"NAME": "kyndo", "HOST": "localhost"},'
        " or None where no pooler is used.",
    ),
    "EXPORT_ROOT": (_is_folder, 'Give a folder, for example Path("exports").'),
    "FOLLOW_UP_WORKERS": (
        _is_from_1_to(_MAX_WORKERS),
        f"Give the number of workers for a follow-up run, from 1 to {_MAX_WORKERS}, for example 2.",
    ),
    "OPS_APPROVAL_COMMANDS": (_is_flag, "Give True or False."),
    "OPS_APPROVAL_EXPIRY": (
        _is_expiry,
        "Give a timedelta above zero, of 365 days at most, for example timedelta(hours=24).",
    ),
    "OPS_APPROVAL_ROWS": (
        _is_limit,
        "Give the number of rows that one person may change alone, for example 10_000, or None for any.",
    ),
    "OPS_BACKUP_MAX_AGE": (
        _is_age,
        "Give a timedelta, for example timedelta(hours=24), or None to need none.",
    ),
    "OPS_HEALTH": (
        _is_limits,
        "Give limits, for example HealthLimits(replica_lag_seconds=10), from ops.health.limits.",
    ),
    "OPS_PAGE_STATEMENT_TIMEOUT": (
        _is_age,
        "Give a timedelta, for example timedelta(seconds=30), or None to use the role's timeout.",
    ),
    "PG_BIN": (_is_folder_list, 'Give a list of folders, for example ["/usr/lib/postgresql/18/bin"].'),
    "RQ_QUEUES": (
        _has_default,
        'Give the queue "default", and each queue its URL,'
        ' for example {"default": {"URL": "redis://localhost:6379/0"}}.',
    ),
    "RUN_BEAT": (_is_from_1_to(_MAX_SECONDS), f"Give seconds, from 1 to {_MAX_SECONDS}, for example 5."),
    "RUN_SLICE": (_is_from_1_to(_MAX_SECONDS), f"Give seconds, from 1 to {_MAX_SECONDS}, for example 60."),
    "UPLOAD_MAX_BYTES": (_is_from_1_to(2**50), "Give a number of bytes, for example 200_000_000."),
    "UPLOAD_ROOT": (_is_folder, 'Give a folder, for example Path("uploads").'),
}


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return ``ops.E001`` for each setting that ops cannot use. Values are not shown: one may be a secret."""
    return [
        Error(f"The setting {name} has a value that ops cannot use.", hint=hint, id="ops.E001")
        for name, (is_usable, hint) in _SETTINGS.items()
        if not is_usable(getattr(settings, name, None))
    ]


def check_database(**_: Any) -> list[CheckMessage]:
    """Return ``ops.E002`` where the default database is no PostgreSQL. Nothing is asked of it."""
    vendor = connections[DEFAULT_DB_ALIAS].vendor
    if vendor == "postgresql":
        return []
    hint = 'Set "ENGINE": "django.db.backends.postgresql" in DATABASES["default"].'
    return [Error(f"The default database is {vendor}; ops needs PostgreSQL.", hint=hint, id="ops.E002")]


def check_export_parts(**_: Any) -> list[CheckMessage]:
    """Return ``ops.E003`` where EXPORT_PARTS names no function. A project without exports need not set it."""
    name = getattr(settings, "EXPORT_PARTS", None)
    if name is None:
        return []
    try:
        if callable(import_string(name)):
            return []
        problem = "is no function"
    except (ImportError, AttributeError, ValueError, TypeError) as exc:
        problem = f"cannot be imported: {exc}"
    hint = 'Give the dotted path of a function, for example "cards.exports.parts.catalogue".'
    return [Error(f"The setting EXPORT_PARTS is {name!r}, which {problem}.", hint=hint, id="ops.E003")]


def check_declarations(**_: Any) -> list[CheckMessage]:
    """Return a warning for each refused operation and each ``operations`` module that cannot be imported.

    ``ops.W001``: the declaration is wrong, or its model has a primary key that runs cannot use. ``ops.W002``:
    it is another declaration each time it is built.
    """
    found = {"ops.W001": registry.collect_errors(), "ops.W002": registry.find_nondeterministic()}
    return [
        Warning(problem, hint=_OPERATION_HINT, obj=where, id=number)
        for number, problems in found.items()
        for where, problem in problems.items()
    ]


def check_column_changes(**_: Any) -> list[CheckMessage]:
    """Return ``ops.W003`` for each column change whose old field has left the model, but not the code.

    Nothing is asked of the database. While the field stands in the model, code may name it.
    """
    retiring = [change for change in list_changes() if not change().has_old_field()]
    return [
        Warning(
            f"{change.name}: {change.model.__name__} has no field {change.old} any more,"
            f" but code may still name it:\n" + "\n".join(references),
            hint=f"{_advise(change)}. Where a line names another field, end it with the comment"
            f" {ignore_comment(change)}",
            obj=f"{change.__module__}.{change.__qualname__}",
            id="ops.W003",
        )
        for change in retiring
        if (references := find_references(change))
    ]


def _advise(change: type[BaseColumnChange]) -> str:
    return f"Use {change.new} instead" if issubclass(change, ColumnChange) else "Do without it"


def register_checks() -> None:
    for check in (check_settings, check_database, check_export_parts):
        register(check, TAG)
    register(check_declarations, "operations")
    register(check_column_changes, "column_changes")
