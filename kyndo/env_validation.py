"""Validation of the environment variables at startup: every fault is reported in one message."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from kyndo.cli import get_install_command
from kyndo.database import iter_unknown_parameters
from kyndo.environment import FALSE_VALUES, TRUE_VALUES, split_items

REQUIRED_VARIABLES = {
    "SECRET_KEY": "50 or more random characters; they sign sessions",
    "ADMIN_KEY": "a random key that callers of the operators' endpoints must send",
}
PRODUCTION_VARIABLES = {
    "ALLOWED_HOSTS": "the host names that are served, for example cards.example.com,www.example.com",
    "DATABASE_URL": "postgres://USER:PASSWORD@HOST:5432/NAME",
    "REDIS_URL": "redis://:PASSWORD@HOST:6379/0",
}
DATABASE_URL_VARIABLES = ("DATABASE_URL", "DIRECT_DATABASE_URL")
URL_SCHEMES = {
    **dict.fromkeys(DATABASE_URL_VARIABLES, ("postgres", "postgresql")),
    "REDIS_URL": ("redis", "rediss", "unix"),
}
# The unit, and the minimum.
NUMERIC_VARIABLES = {
    "APPROVAL_EXPIRY_HOURS": ("hours", 1),
    "APPROVAL_ROWS": ("rows", 0),
    "BACKUP_MAX_AGE_HOURS": ("hours", 0),
    "CONN_MAX_AGE": ("seconds", 0),
    "FOLLOW_UP_WORKERS": ("workers", 1),
    "LOGIN_ATTEMPTS_PER_ADDRESS": ("attempts", 1),
    "LOGIN_ATTEMPTS_PER_NAME": ("attempts", 1),
    "LOGIN_WAIT_MINUTES": ("minutes", 1),
    "PAGE_STATEMENT_TIMEOUT": ("seconds", 0),
    "RUN_BEAT": ("seconds", 1),
    "RUN_SLICE": ("seconds", 1),
    "SECURE_HSTS_SECONDS": ("seconds", 0),
    "SESSION_IDLE_MINUTES": ("minutes", 1),
    "UPLOAD_MAX_MB": ("megabytes", 1),
}
MAX_NUMBER = 2**31 - 1
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
BOOLEAN_VARIABLES = ("APPROVAL_COMMANDS", "DEBUG", "SECURE_SSL_REDIRECT", "TRUST_PROXY")
FOLDER_VARIABLES = ("BACKUP_DIR", "EXPORT_ROOT", "LOG_DIR", "MEDIA_ROOT", "STATIC_ROOT", "UPLOAD_ROOT")
_HOST_PATTERN = r"\*|\.?[\w.-]+|\[[0-9A-Fa-f:.]+\]"
_ORIGIN_PATTERN = r"https?://((\*\.)?[\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?"
# The pattern of each item, and its description; None: any text, and a secret.
LIST_VARIABLES: dict[str, tuple[str | None, str]] = {
    "ALLOWED_HOSTS": (_HOST_PATTERN, "a host name, for example cards.example.com"),
    "CSRF_TRUSTED_ORIGINS": (_ORIGIN_PATTERN, "an origin, for example https://cards.example.com"),
    "IMAGE_ORIGINS": (
        rf"{_ORIGIN_PATTERN}(/[^\s;]*)?",
        "an origin, for example https://media.example.com",
    ),
    "SECRET_KEY_FALLBACKS": (None, "a key"),
}


def validate_environment(environ: Mapping[str, str]) -> None:
    """Raise `ImproperlyConfigured` that names every variable that is missing, empty or unreadable."""
    debug = environ.get("DEBUG", "").lower() in TRUE_VALUES
    required = REQUIRED_VARIABLES if debug else {**REQUIRED_VARIABLES, **PRODUCTION_VARIABLES}
    missing = [f"  {name}: {hint}" for name, hint in required.items() if not environ.get(name)]
    if missing:
        missing.insert(0, "Set these in the environment or in .env:")
        if not debug:
            missing.append("For development instead, `make demo` writes a .env with DEBUG=on.")
    if problems := [*_iter_invalid_values(environ), *missing]:
        raise ImproperlyConfigured("\n".join(problems))


def _iter_invalid_values(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield one line for each fault, without values that may contain a secret."""
    for name, schemes in URL_SCHEMES.items():
        if environ.get(name) and not _is_valid_url(environ[name], schemes):
            example = PRODUCTION_VARIABLES["DATABASE_URL" if name in DATABASE_URL_VARIABLES else name]
            yield (
                f"{name} is not a URL like {example} (in a password, / ? # @ % are written as"
                " %2F %3F %23 %40 %25)"
            )
        elif name in DATABASE_URL_VARIABLES:
            yield from iter_unknown_parameters(name, environ.get(name, ""))
    for validate in (
        _iter_invalid_numbers,
        _iter_invalid_booleans,
        _iter_invalid_lists,
        _iter_invalid_folders,
        _iter_other_problems,
    ):
        yield from validate(environ)


def _iter_invalid_numbers(environ: Mapping[str, str]) -> Iterator[str]:
    for name, (unit, minimum) in NUMERIC_VARIABLES.items():
        value = environ.get(name, str(minimum))
        if not (re.fullmatch("[0-9]{1,10}", value) and minimum <= int(value) <= MAX_NUMBER):
            limit = " above 0" if minimum else ""
            yield f"{name} is {value!r}. It must be a whole number of {unit}{limit}."


def _iter_invalid_booleans(environ: Mapping[str, str]) -> Iterator[str]:
    for name in BOOLEAN_VARIABLES:
        if environ.get(name, "off").lower() not in (*TRUE_VALUES, *FALSE_VALUES):
            yield f"{name} is {environ[name]!r}. It must be on or off."


def _iter_invalid_lists(environ: Mapping[str, str]) -> Iterator[str]:
    for name, (pattern, description) in LIST_VARIABLES.items():
        items = split_items(environ.get(name, ""))
        if not all(items):
            yield f"{name} has an empty item: remove the extra comma."
        for item in filter(None, items):
            if pattern and not re.fullmatch(pattern, item):
                yield f"{name} has {item!r}. Each item must be {description}."


def _iter_invalid_folders(environ: Mapping[str, str]) -> Iterator[str]:
    for name in FOLDER_VARIABLES:
        if not environ.get(name, ".").strip():
            yield f"{name} is {environ[name]!r}. It must be a folder."


def _iter_other_problems(environ: Mapping[str, str]) -> Iterator[str]:
    if environ.get("S3_BUCKET") and not find_spec("storages"):
        command = get_install_command("django-storages[s3]")
        yield f"S3_BUCKET is set, but django-storages is not installed. Type: {command}"
    if (url := environ.get("S3_ENDPOINT_URL")) and urlsplit(url).scheme not in ("http", "https"):
        yield f"S3_ENDPOINT_URL is {url!r}. It must be a URL, for example https://s3.example.com."
    if (level := environ.get("LOG_LEVEL", "WARNING")).upper() not in LOG_LEVELS:
        yield f"LOG_LEVEL is {level!r}. It must be one of {', '.join(LOG_LEVELS)}."


def _is_valid_url(url: str, schemes: tuple[str, ...]) -> bool:
    """Return whether ``url`` splits as intended: an unescaped # or / in a password would end the host."""
    with suppress(ValueError):  # a port that is not a number
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")  # PostgreSQL's client tries one after the other
        ports = [urlsplit(f"//{host}").port or 1 for host in hosts]
        rest = f"{parts.path}{parts.query}"
        return parts.scheme in schemes and min(ports) > 0 and "#" not in url and "@" not in rest
    return False
