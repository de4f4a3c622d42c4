"""Who is at the keyboard."""

import getpass


def current_user() -> str:
    """The OS user's name; ``unknown`` where the process runs under an id that has none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
