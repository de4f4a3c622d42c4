"""What must be set before anything starts, and how to say so in one message."""

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

ALWAYS = {
    "SECRET_KEY": "50 or more random characters; they sign sessions",
    "ADMIN_KEY": "a random key, asked of whoever calls the operators' endpoints",
}
IN_PRODUCTION = {
    "ALLOWED_HOSTS": "the host names that are served, as cards.example.com,www.example.com",
    "DATABASE_URL": "postgres://USER:PASSWORD@HOST:5432/NAME",
    "REDIS_URL": "redis://:PASSWORD@HOST:6379/0",
}


def require(environ: Mapping[str, str], *, debug: bool) -> None:
    """Raise `ImproperlyConfigured` that names every variable that is missing or empty."""
    wanted = ALWAYS if debug else {**ALWAYS, **IN_PRODUCTION}
    missing = [f"  {name}: {what}" for name, what in wanted.items() if not environ.get(name)]
    if missing:
        raise ImproperlyConfigured(
            "\n".join(["Set these in the environment or in .env:", *missing, *_hint(debug)])
        )


def _hint(debug: bool) -> list[str]:
    return [] if debug else ["For development instead, `make demo` writes a .env with DEBUG=on."]
