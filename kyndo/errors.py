"""Words for the failures that an operator can mend: a server out of reach, a missing setting or migration."""

import errno
import os
import sys
from contextlib import closing, suppress
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connection

START = "Type: .venv/bin/python manage.py localservices start"
MIGRATE = "Type: .venv/bin/python manage.py migrate"

# SQLSTATE classes and codes that speak of the connection or the server, not of the statement.
_CONNECTION = ("08", "28", "3D000", "53300", "57P")
_SCHEMA = ("42P01", "42703")  # undefined table, undefined column
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def explain(exc: BaseException) -> str | None:
    """Return what to tell the operator, or None where a traceback serves better."""
    if isinstance(exc, ImproperlyConfigured):
        return str(exc)
    if isinstance(exc, DatabaseError):
        return _explain_database(exc)
    if isinstance(exc, OSError) and exc.filename is None and exc.errno in _DISK:
        return f"The output cannot be written: {exc.strerror}"
    if _is_redis_out_of_reach(exc):
        return _out_of_reach("Redis", "REDIS_URL", _redis_address(), exc)
    return None


def _explain_database(exc: DatabaseError) -> str | None:
    import psycopg

    cause = exc.__cause__
    code = getattr(cause, "sqlstate", None)
    if code is None and not isinstance(cause, psycopg.OperationalError):
        return None
    if code is None or code.startswith(_CONNECTION):
        return _out_of_reach("PostgreSQL", "DATABASE_URL", _database_address(), exc)
    if code in _SCHEMA:
        return f"The database's schema is not the one of this code: {_first_line(exc)}\n{_mend_schema()}"
    return None


def _mend_schema() -> str:
    """What to type, by what the database says of its migrations and tables."""
    from ops.schema.migrations import count_unapplied, missing_tables

    with suppress(DatabaseError), closing(connection.copy()) as other:  # ours may be in a failed transaction
        if not count_unapplied(other):
            return _put_back(missing_tables(other))
    return MIGRATE


def _put_back(missing: list[str]) -> str:
    """What was there once, and somebody has removed by hand."""
    name = connection.settings_dict["NAME"]
    lines = [
        "All migrations are recorded as applied, so that migrate would do nothing.",
        "To see what differs from what they make: manage.py schema_drift",
        f"To go back to a backup: manage.py backups, then manage.py restore_db FILE --confirm {name}",
    ]
    if missing:
        lines[0] = f"Missing, although all migrations are recorded as applied: {', '.join(missing)}."
    for app in _emptied(missing):  # where one table is left, the first migration could not make it again
        lines.append(
            f"To make those of {app} anew, empty: manage.py migrate {app} zero --fake; manage.py migrate"
        )
    return "\n".join(lines)


def _emptied(missing: list[str]) -> list[str]:
    """The apps of which no table is left."""
    tables = {
        config.label: {m._meta.db_table for m in config.get_models(True) if m._meta.can_migrate(connection)}
        for config in apps.get_app_configs()
    }
    return [label for label, names in tables.items() if names and names <= {*missing}]


def _is_redis_out_of_reach(exc: BaseException) -> bool:
    errors = sys.modules.get("redis.exceptions")  # not imported means that it is not one of its errors
    return errors is not None and isinstance(exc, (errors.ConnectionError, errors.TimeoutError))


def _out_of_reach(server: str, variable: str, address: str, exc: BaseException) -> str:
    given = os.environ.get(variable)
    todo = f"{variable} names it: check the URL and the server." if given else START
    return f"{server} cannot be used at {address}: {_first_line(exc)}\n{todo}"


def _database_address() -> str:
    default = settings.DATABASES["default"]
    return f"{default['HOST'] or 'localhost'}:{default['PORT'] or 5432}/{default['NAME']}"


def _redis_address() -> str:
    parts = urlsplit(settings.REDIS_URL)
    return f"{parts.hostname}:{parts.port or 6379}{parts.path}"


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
