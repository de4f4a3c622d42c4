"""What must be set before anything starts, and how to say everything that is wrong with it in one message."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from kyndo.cli import how_to_install
from kyndo.database import unknown_parameters
from kyndo.environment import OFF, ON, split

ALWAYS = {
    "SECRET_KEY": "50 or more random characters; they sign sessions",
    "ADMIN_KEY": "a random key, asked of whoever calls the operators' endpoints",
}
IN_PRODUCTION = {
    "ALLOWED_HOSTS": "the host names that are served, as cards.example.com,www.example.com",
    "DATABASE_URL": "postgres://USER:PASSWORD@HOST:5432/NAME",
    "REDIS_URL": "redis://:PASSWORD@HOST:6379/0",
}
DATABASES = ("DATABASE_URL", "DIRECT_DATABASE_URL")
SCHEMES = {**dict.fromkeys(DATABASES, ("postgres", "postgresql")), "REDIS_URL": ("redis", "rediss", "unix")}
# The unit, and the least that makes sense.
NUMBERS = {
    "BACKUP_MAX_AGE_HOURS": ("hours", 0),
    "CONN_MAX_AGE": ("seconds", 0),
    "FOLLOW_UP_WORKERS": ("workers", 1),
    "RUN_BEAT": ("seconds", 1),
    "RUN_SLICE": ("seconds", 1),
    "SECURE_HSTS_SECONDS": ("seconds", 0),
}
GREATEST = 2**31 - 1
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SWITCHES = ("DEBUG", "SECURE_SSL_REDIRECT", "TRUST_PROXY")
FOLDERS = ("BACKUP_DIR", "EXPORT_ROOT", "LOG_DIR", "MEDIA_ROOT", "STATIC_ROOT")
_HOST = r"\*|\.?[\w.-]+|\[[0-9A-Fa-f:.]+\]"
_ORIGIN = r"https?://((\*\.)?[\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?"
# How each item looks, and in words; None: it may be anything, and is a secret.
LISTS: dict[str, tuple[str | None, str]] = {
    "ALLOWED_HOSTS": (_HOST, "a host name, as cards.example.com"),
    "CSRF_TRUSTED_ORIGINS": (_ORIGIN, "an origin, as https://cards.example.com"),
    "IMAGE_ORIGINS": (rf"{_ORIGIN}(/[^\s;]*)?", "an origin, as https://media.example.com"),
    "SECRET_KEY_FALLBACKS": (None, "a key"),
}


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
    """One line for each fault. What may hold a secret is not shown."""
    for name, schemes in SCHEMES.items():
        if environ.get(name) and not _is_url(environ[name], schemes):
            like = IN_PRODUCTION["DATABASE_URL" if name in DATABASES else name]
            yield (
                f"{name} is not a URL like {like} (in a password, / ? # @ % are written as"
                " %2F %3F %23 %40 %25)"
            )
        elif name in DATABASES:
            yield from unknown_parameters(name, environ.get(name, ""))
    for read in (_numbers, _switches, _lists, _folders, _others):
        yield from read(environ)


def _numbers(environ: Mapping[str, str]) -> Iterator[str]:
    for name, (unit, least) in NUMBERS.items():
        value = environ.get(name, str(least))
        if not (re.fullmatch("[0-9]{1,10}", value) and least <= int(value) <= GREATEST):
            above = " above 0" if least else ""
            yield f"{name} is {value!r}, and should be a number of {unit}{above}"


def _switches(environ: Mapping[str, str]) -> Iterator[str]:
    for name in SWITCHES:
        if environ.get(name, "off").lower() not in (*ON, *OFF):
            yield f"{name} is {environ[name]!r}, and should be on or off"


def _lists(environ: Mapping[str, str]) -> Iterator[str]:
    for name, (look, words) in LISTS.items():
        for item in split(environ.get(name, "")):
            if look is None and not item:
                yield f"{name} has {words} that is empty: it begins or ends with a comma, or has two in a row"
            elif look and not re.fullmatch(look, item):
                yield f"{name} has {item!r}, and each of it should be {words}"


def _folders(environ: Mapping[str, str]) -> Iterator[str]:
    for name in FOLDERS:
        if not environ.get(name, ".").strip():
            yield f"{name} is {environ[name]!r}, and should be a folder"


def _others(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("S3_BUCKET") and not find_spec("storages"):
        typed = how_to_install("django-storages[s3]")
        yield f"S3_BUCKET is set, but django-storages is not installed: {typed}"
    if (url := environ.get("S3_ENDPOINT_URL")) and urlsplit(url).scheme not in ("http", "https"):
        yield f"S3_ENDPOINT_URL is {url!r}, and should be a URL, as https://s3.example.com"
    if (level := environ.get("LOG_LEVEL", "WARNING")).upper() not in LEVELS:
        yield f"LOG_LEVEL is {level!r}, and should be one of {', '.join(LEVELS)}"


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether it is one whose parts stand where they seem to: a password's own # or / would end the host."""
    with suppress(ValueError):  # of a port that is not a number
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")  # PostgreSQL's client tries one after the other
        ports = [urlsplit(f"//{host}").port or 1 for host in hosts]
        rest = f"{parts.path}{parts.query}"
        return parts.scheme in schemes and min(ports) > 0 and "#" not in url and "@" not in rest
    return False
