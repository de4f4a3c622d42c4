"""Messages for errors that an operator can fix: an unreachable server, a missing setting or migration."""

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
from ops.command_lines import manage_command
from ops.formatting import first_line

# SQLSTATE classes and codes of the connection or the server, not of the statement.
_CONNECTION_SQLSTATES = ("08", "28", "3D000", "53300", "57P")
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def explain_error(exc: BaseException) -> str | None:
    """Return a message for the operator, or None if a traceback is more useful."""
    if isinstance(exc, (ImproperlyConfigured, WrongSchema)):
        return str(exc)
    if isinstance(exc, (DatabaseError, psycopg.Error)):
        return _explain_database(exc)
    if isinstance(exc, OSError) and exc.filename is None and exc.errno in _DISK_ERRNOS:
        return f"The output cannot be written: {exc.strerror}"
    if _is_redis_unavailable(exc):
        return _format_unavailable("Redis", "REDIS_URL", _get_redis_address(), exc)
    return _explain_import(exc)


def _explain_import(exc: BaseException) -> str | None:
    """Explain the error of a command whose `operations` module cannot be imported."""
    if not apps.ready:
        return None
    from ops.operations import registry, user_code

    message = user_code.format_exception(exc)
    return next(
        (f"{name} {why}" for name, why in registry.get_import_errors().items() if why.endswith(message)), None
    )


def _explain_database(exc: BaseException) -> str | None:
    from ops import server_errors
    from ops.schema import hints

    if isinstance(exc, MigrationSchemaMissing):
        return hints.explain_missing_schema(exc)
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    code = getattr(cause, "sqlstate", None)
    if code is None and not isinstance(cause, psycopg.OperationalError):
        return None
    if server_errors.is_server_error(exc):
        return server_errors.explain_server_error(exc)
    if code is None or code.startswith(_CONNECTION_SQLSTATES):
        return _format_unavailable("PostgreSQL", "DATABASE_URL", server_errors.server_address(), exc)
    if isinstance(exc, DatabaseError) and hints.is_schema_error(exc):
        return hints.explain_schema_error(exc)
    return None


def _is_redis_unavailable(exc: BaseException) -> bool:
    errors = sys.modules.get("redis.exceptions")  # if redis was not imported, it is not one of its errors
    return errors is not None and isinstance(exc, (errors.ConnectionError, errors.TimeoutError))


def _format_unavailable(server: str, variable: str, address: str, exc: BaseException) -> str:
    hint = (
        f"The address comes from {variable}. Check that it is right and that the server is running."
        if os.environ.get(variable)
        else f"Type: {manage_command('localservices', 'start')}"
    )
    return f"{server} cannot be used at {address}: {first_line(exc)}\n{hint}"


def _get_redis_address() -> str:
    parts = urlsplit(settings.REDIS_URL)
    return f"{parts.hostname}:{parts.port or 6379}{parts.path}"
