"""Write the `.env` of a development checkout: `python -m kyndo.envfile`. Needs nothing but Python."""

import os
import secrets
from pathlib import Path


def write_env_file(path: Path) -> bool:
    """Write random keys and DEBUG=on, whole or not at all; return False where the file is already there."""
    text = (
        "# Development only, made once by make. Variables of the environment win over these.\n"
        f"DEBUG=on\nSECRET_KEY={secrets.token_urlsafe(50)}\nADMIN_KEY={secrets.token_urlsafe(24)}\n"
    )
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(new, path)  # unlike a rename, it never replaces what somebody wrote in between
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True


if __name__ == "__main__":
    write_env_file(Path(".env"))
