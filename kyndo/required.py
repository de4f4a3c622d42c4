"""What must be set before anything starts, and how to say everything that is wrong with it in one message."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env  # type: ignore[import-untyped]

ALWAYS = {
    "SECRET_KEY": "50 or more random characters; they sign sessions",
    "ADMIN_KEY": "a random key, asked of whoever calls the operators' endpoints",
}
IN_PRODUCTION = {
    "ALLOWED_HOSTS": "the host names that are served, as cards.example.com,www.example.com",
    "DATABASE_URL": "postgres://USER:PASSWORD@HOST:5432/NAME",
    "REDIS_URL": "redis://:PASSWORD@HOST:6379/0",
}
SCHEMES = {"DATABASE_URL": ("postgres", "postgresql"), "REDIS_URL": ("redis", "rediss", "unix")}
NUMBERS = {
    "BACKUP_MAX_AGE_HOURS": "hours",
    "CONN_MAX_AGE": "seconds",
    "FOLLOW_UP_WORKERS": "workers",
    "RUN_BEAT": "seconds",
    "RUN_SLICE": "seconds",
    "SECURE_HSTS_SECONDS": "seconds",
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SWITCHES = ("DEBUG", "SECURE_SSL_REDIRECT", "TRUST_PROXY")
ON = Env.BOOLEAN_TRUE_STRINGS
OFF = ("false", "off", "no", "n", "0", "")


def require(environ: Mapping[str, str]) -> None:
    """Raise `ImproperlyConfigured` that names every variable that is missing, empty or unreadable."""
    debug = environ.get("DEBUG", "").lower() in ON
    wanted = ALWAYS if debug else {**ALWAYS, **IN_PRODUCTION}
    missing = [f"  {name}: {what}" for name, what in wanted.items() if not environ.get(name)]
    if missing:
        missing.insert(0, "Set these in the environment or in .env:")
        if not debug:
            missing.append("For development instead, `make demo` writes a .env with DEBUG=on.")
    if problems := [*_unreadable(environ), *missing]:
        raise ImproperlyConfigured("\n".join(problems))


def _unreadable(environ: Mapping[str, str]) -> Iterator[str]:
    for name, schemes in SCHEMES.items():
        if environ.get(name) and not _is_url(environ[name], schemes):
            yield f"{name} is not a URL like {IN_PRODUCTION[name]}"  # it may hold a password: not shown
    for name, unit in NUMBERS.items():
        if name in environ and not environ[name].isdecimal():
            yield f"{name} is {environ[name]!r}, and should be a number of {unit}"
    for name in SWITCHES:
        if environ.get(name, "").lower() not in (*ON, *OFF):
            yield f"{name} is {environ[name]!r}, and should be on or off"
    if environ.get("S3_BUCKET") and not find_spec("storages"):
        yield "S3_BUCKET is set, but django-storages is not installed: pip install 'django-storages[s3]'"
    if (level := environ.get("LOG_LEVEL", "WARNING")).upper() not in LEVELS:
        yield f"LOG_LEVEL is {level!r}, and should be one of {', '.join(LEVELS)}"


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    with suppress(ValueError):  # of a port that is not a number
        parts = urlsplit(url)
        return parts.scheme in schemes and (parts.port or 1) > 0
    return False
