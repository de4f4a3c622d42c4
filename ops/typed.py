"""Commands as they are typed, so that every line that tells one can be pasted where it is read."""

from __future__ import annotations

import shlex

from django.conf import settings


def manage(*words: object) -> str:
    """Return the command with these words, quoted for a shell: ``.venv/bin/python manage.py runs show 3``.

    What goes before them is the setting OPS_MANAGE. In capitals stands what the reader has to fill in.
    """
    return f"{getattr(settings, 'OPS_MANAGE', 'manage.py')} {shlex.join(map(str, words))}"
