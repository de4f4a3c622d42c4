"""A picture that a person uploads for a card: validated as the thumbnails read it, named by its checksum."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import default_storage

from cards.packs.illustrations import build_picture_name
from cards.thumbnails.illustration import read_illustration
from cards.thumbnails.render import ILLUSTRATION_SIZE

# By the content, never by the name that the browser sends.
_SUFFIXES = {"AVIF": ".avif", "GIF": ".gif", "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


@dataclass(frozen=True)
class Upload:
    """A valid picture and its storage name; it is not stored yet."""

    file: Any
    name: str

    @classmethod
    def validate(cls, file: Any, pack_id: str) -> Upload:
        """Decode the uploaded file as for a thumbnail. Raises InvalidImage, with the reason in words."""
        file.seek(0)
        _, kind = read_illustration(file, file.name, ILLUSTRATION_SIZE)
        checksum = hashlib.sha256()
        file.seek(0)
        for chunk in file.chunks():
            checksum.update(chunk)
        stem = os.path.splitext(file.name)[0]
        return cls(file, build_picture_name(pack_id, stem, checksum.hexdigest(), _SUFFIXES[kind]))

    def store(self) -> None:
        """Store the file; a second time is harmless. The card's old picture stays, for reverts.

        Raises OSError.
        """
        if default_storage.exists(self.name):
            return
        try:
            default_storage.save(self.name, self.file)
        except OSError:
            with suppress(OSError):  # a partial file would pass for a complete one
                default_storage.delete(self.name)
            raise
