"""Words for the failures that an operator can mend: a server out of reach, a missing setting or migration."""

import errno
import os
import sys
from urllib.parse import urlsplit

import psycopg
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db.migrations.exceptions import MigrationSchemaMissing

from kyndo.schema import WrongSchema
from ops.typed import manage

# SQLSTATE classes and codes that speak of the connection or the server, not of the statement.
_CONNECTION = ("08", "28", "3D000", "53300", "57P")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def explain(exc: BaseException) -> str | None:
    """Return what to tell the operator, or None where a traceback serves better."""
    if isinstance(exc, (ImproperlyConfigured, WrongSchema)):
        return str(exc)
    if isinstance(exc, (DatabaseError, psycopg.Error)):
        return _explain_database(exc)
    if isinstance(exc, OSError) and exc.filename is None and exc.errno in _DISK:
        return f"The output cannot be written: {exc.strerror}"
    if _is_redis_out_of_reach(exc):
        return _out_of_reach("Redis", "REDIS_URL", _redis_address(), exc)
    return _explain_import(exc)


def _explain_import(exc: BaseException) -> str | None:
    """Of a command that needs an `operations` module which cannot be imported."""
    if not apps.ready:
        return None
    from ops import raised, registry

    told = raised.told(exc)
    return next((f"{name} {why}" for name, why in registry.broken().items() if why.endswith(told)), None)


def _explain_database(exc: BaseException) -> str | None:
    from ops import trouble
    from ops.schema import mend

    if isinstance(exc, MigrationSchemaMissing):
        return mend.explain_no_room(exc)
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    code = getattr(cause, "sqlstate", None)
    if code is None and not isinstance(cause, psycopg.OperationalError):
        return None
    if trouble.is_told(exc):
        return trouble.explain(exc)
    if code is None or code.startswith(_CONNECTION):
        return _out_of_reach("PostgreSQL", "DATABASE_URL", trouble.address(), exc)
    if isinstance(exc, DatabaseError) and mend.is_of_schema(exc):
        return mend.explain(exc)
    return None


def _is_redis_out_of_reach(exc: BaseException) -> bool:
    errors = sys.modules.get("redis.exceptions")  # not imported means that it is not one of its errors
    return errors is not None and isinstance(exc, (errors.ConnectionError, errors.TimeoutError))


def _out_of_reach(server: str, variable: str, address: str, exc: BaseException) -> str:
    given = os.environ.get(variable)
    todo = (
        f"{variable} names it: check the URL and the server."
        if given
        else f"Type: {manage('localservices', 'start')}"
    )
    return f"{server} cannot be used at {address}: {_first_line(exc)}\n{todo}"


def _redis_address() -> str:
    parts = urlsplit(settings.REDIS_URL)
    return f"{parts.hostname}:{parts.port or 6379}{parts.path}"


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
