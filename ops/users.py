"""Who does something: at the command line, or the account of this name."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import get_user_model

_performer: ContextVar[str | None] = ContextVar("performer", default=None)


def os_username() -> str:
    """Return the name of the OS user; ``unknown`` if the user id has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def current_performer() -> str:
    """Return who does what a migration records: whom ``performing_as`` names, else the OS user."""
    return _performer.get() or os_username()


@contextmanager
def performing_as(name: str) -> Iterator[None]:
    """Let migrations of the block record this user."""
    token = _performer.set(name)
    try:
        yield
    finally:
        _performer.reset(token)


def find_user(name: str) -> Any:
    """Return the account of this name; None if there is none."""
    model = get_user_model()
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
