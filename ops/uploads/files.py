"""The files of uploads, on a disk that the site and its workers share, until they are staged."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from ops.exceptions import OpsError

_SUFFIX = re.compile(r"\.[a-z]{1,8}")


class UploadUnavailable(OpsError):
    """The file cannot be written or read here."""


def store_file(name: str, chunks: Iterable[bytes]) -> Path:
    """Write an uploaded file under a name that nobody can guess; of its own name only the suffix is kept.

    Raises UploadUnavailable.
    """
    suffix = os.path.splitext(name)[1].lower()
    root = Path(settings.UPLOAD_ROOT).absolute()
    path = root / f"{secrets.token_hex(16)}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.writelines(chunks)
            os.fsync(file.fileno())
    except OSError as exc:
        remove_file(str(path))
        raise UploadUnavailable(
            f"The file cannot be kept in {root}: {exc.strerror}. Nothing was uploaded."
        ) from exc
    return path


def require_file(path: str) -> Path:
    """Return the path of a stored file. Raises UploadUnavailable where this machine does not have it."""
    if not os.path.isfile(path):
        raise UploadUnavailable(
            "The file is not on this machine any more. The site and its workers need UPLOAD_ROOT on a disk"
            " that all of them can read. Upload the file again."
        )
    return Path(path)


def remove_file(path: str) -> None:
    """Remove a stored file, if it is there."""
    if path:
        with suppress(OSError):
            os.remove(path)
