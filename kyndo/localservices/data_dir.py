"""Where a server's data lives: under its root, or, where its user cannot go, in a folder keyed by it."""

import hashlib
import os
import re
import shlex
import stat
import tempfile
from pathlib import Path

from kyndo.localservices.account import Account
from kyndo.localservices.errors import LocalServiceError

# initdb hands paths to a shell inside double quotes, and PostgreSQL cuts them at 1,024 bytes.
_SAFE_PATH = re.compile(r'[^"$`\\\n]{1,700}')


def hash_path(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def is_usable(path: Path, account: Account) -> bool:
    """Tell whether ``account`` can reach ``path``, and PostgreSQL's tools can spell it."""
    return _SAFE_PATH.fullmatch(str(path)) is not None and account.has_access(path)


def get_fallback_dir(root: Path) -> Path:
    """Name the folder that stands in for ``root`` where ``root`` itself is not usable."""
    base = Path("/var/tmp")  # noqa: S108 (survives a restart; `secure` guards against a folder laid in wait)
    if not base.is_dir():
        base = Path(tempfile.gettempdir())
    return base / f"kyndo-{os.geteuid()}-{hash_path(root)}"


def find_data_dir(root: Path, account: Account) -> Path:
    """Return ``root``, or the folder that stands in for it, made and checked."""
    root.mkdir(parents=True, exist_ok=True)
    return root if is_usable(root, account) else ensure_owned_dir(get_fallback_dir(root))


def ensure_owned_dir(folder: Path) -> Path:
    """Make ``folder`` ours, refusing one that somebody else made first and could change under our hands."""
    try:
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    except FileExistsError:
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not ours or found.st_mode & 0o022:
            raise LocalServiceError(
                f"{folder} was made by somebody else, or others may write to it.\n"
                f"Look at it, then remove it: rm -r {shlex.quote(str(folder))}"
            ) from None
    return folder
