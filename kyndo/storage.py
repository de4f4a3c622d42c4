"""Storage on the disk of one machine, whose files are written atomically."""

from __future__ import annotations

import os
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class AtomicFileStorage(FileSystemStorage):
    """Write a temporary file and rename it, so that a killed process leaves no partial file under the name.

    Names contain the checksum, so a second file of the same name has the same content and replaces the first.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_overwrite": True, **options})

    def _save(self, name: str, content: File[Any]) -> str:
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with NamedTemporaryFile(dir=os.path.dirname(self.path(name)), prefix=".", delete=False) as part:
            try:
                for chunk in content.chunks():
                    part.write(chunk)
                part.flush()
                os.fsync(part.fileno())
                # Django moves a file that has a path, and sets the permissions of the settings.
                saved: str = super()._save(name, _FileWithPath(part.name))  # type: ignore[misc]
            except BaseException:
                os.unlink(part.name)
                raise
        return saved


class _FileWithPath(File):  # type: ignore[type-arg]
    def __init__(self, path: str) -> None:
        super().__init__(None, path)

    def temporary_file_path(self) -> str:
        return str(self.name)
