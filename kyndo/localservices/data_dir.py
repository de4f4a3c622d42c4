"""Where a server stores its data: under its root, or in a fallback folder that its user can reach."""

import hashlib
import os
import re
import shlex
import stat
import tempfile
from pathlib import Path

from kyndo.localservices.account import Account
from kyndo.localservices.errors import LocalServiceError

# initdb passes paths to a shell in double quotes, and PostgreSQL truncates them at 1,024 bytes.
_SAFE_PATH = re.compile(r'[^"$`\\\n]{1,700}')


def hash_path(path: Path) -> str:
    """Return 12 hexadecimal digits that identify a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def is_usable(path: Path, account: Account) -> bool:
    """Return whether ``account`` can reach ``path``, and PostgreSQL's tools can handle its characters."""
    return _SAFE_PATH.fullmatch(str(path)) is not None and account.has_access(path)


def get_fallback_dir(root: Path) -> Path:
    """Return the folder that replaces ``root`` if it is not usable."""
    base = Path("/var/tmp")  # noqa: S108 (kept over reboots; `ensure_owned_dir` checks the owner)
    if not base.is_dir():
        base = Path(tempfile.gettempdir())
    return base / f"kyndo-{os.geteuid()}-{hash_path(root)}"


def find_data_dir(root: Path, account: Account) -> Path:
    """Create and return ``root``, or its fallback if ``account`` cannot use it."""
    root.mkdir(parents=True, exist_ok=True)
    return root if is_usable(root, account) else ensure_owned_dir(get_fallback_dir(root))


def ensure_owned_dir(folder: Path) -> Path:
    """Create ``folder``; raise LocalServiceError if it exists and others own it or may write to it."""
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    except FileExistsError:
        status = folder.lstat()
        is_owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        if not is_owned or status.st_mode & 0o022:
            raise LocalServiceError(
                f"{folder} belongs to another user, or others may write to it.\n"
                f"Check its contents, then remove it: rm -r {shlex.quote(str(folder))}"
            ) from None
    return folder
