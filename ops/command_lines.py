"""Commands as they are typed, so that every line that tells one can be pasted where it is read."""

from __future__ import annotations

import re
import shlex

from django.conf import settings


def psql_command(*statements: str) -> str:
    """Return the command with which psql does these statements, one after the other."""
    typed = (f"-c {_shell_quote(statement)}" for statement in statements)
    return " ".join(['psql "$DATABASE_URL"', *typed])


def _shell_quote(text: str) -> str:
    """In double quotes where a shell reads nothing into them: SQL is full of the single ones."""
    return f'"{text}"' if re.fullmatch(r"[^\"$`\\!\n]*", text) else shlex.quote(text)


def manage_command(*words: object) -> str:
    """Return the command with these words, quoted for a shell: ``.venv/bin/python manage.py runs show 3``.

    What goes before them is the setting OPS_MANAGE. In capitals stands what the reader has to fill in.
    """
    return f"{getattr(settings, 'OPS_MANAGE', 'manage.py')} {shlex.join(map(str, words))}"
