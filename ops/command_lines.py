"""Format the commands that messages tell to type, quoted so that they can be pasted into a shell."""

from __future__ import annotations

import re
import shlex

from django.conf import settings


def psql_command(*statements: str) -> str:
    """Return the psql command that executes the statements, one after the other."""
    options = (f"-c {_shell_quote(statement)}" for statement in statements)
    return " ".join(['psql "$DATABASE_URL"', *options])


def _shell_quote(text: str) -> str:
    """Use double quotes where a shell expands nothing in them, since SQL is full of single quotes."""
    return f'"{text}"' if re.fullmatch(r"[^\"$`\\!\n]*", text) else shlex.quote(text)


def manage_command(*args: object) -> str:
    """Return the management command quoted for a shell: ``.venv/bin/python manage.py runs show 3``.

    The setting OPS_MANAGE goes before the arguments. An argument in capitals is for the reader to fill in.
    """
    return f"{getattr(settings, 'OPS_MANAGE', 'manage.py')} {shlex.join(map(str, args))}"
