"""Write the `.env` of a development checkout: `python -m kyndo.envfile`. Needs nothing but Python."""

import os
import secrets
from pathlib import Path


def write_env_file(path: Path) -> bool:
    """Write DEBUG=on and random keys atomically; return False if the file exists."""
    text = (
        "# Development only, written once by make. Environment variables override these.\n"
        f"DEBUG=on\nSECRET_KEY={secrets.token_urlsafe(50)}\nADMIN_KEY={secrets.token_urlsafe(24)}\n"
    )
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(new, path)  # unlike a rename, it never replaces a file written in the meantime
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True


if __name__ == "__main__":
    write_env_file(Path(".env"))
