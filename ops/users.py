"""Who does something at the command line."""

import getpass


def os_username() -> str:
    """Return the name of the OS user; ``unknown`` if the user id has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
