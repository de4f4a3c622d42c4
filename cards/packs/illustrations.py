"""The pictures that lie beside a pack: found when it is read, stored when it is loaded."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage
from django.utils.text import slugify

from cards.packs.errors import BadValue, RefusedPack
from ops.words import quoted

_REFUSED = ("javascript:", "vbscript:", "file:", "data:text")
# Anything else, such as HTML or SVG, could bring scripts into the admin's own site.
_ENDINGS = (".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")


class Illustrations:
    """Pictures named by a path relative to the pack, as ``images/condor.webp``.

    A stored picture is named by its checksum too: storing it twice is harmless, and a new picture under
    the old name is a change of the card that the audit log shows. Everything else, a URL or a path that
    leads nowhere, stays as the pack gives it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._sources: dict[str, str] = {}
        self._name = lru_cache(maxsize=4096)(self._find_name)

    def place(self, image: str, pack_id: str | None) -> str:
        """The image's name in the storage if it lies beside the pack, else the image as given."""
        if image.lower().startswith(_REFUSED):
            raise BadValue(f"image {quoted(image)} is no address of a picture")
        if "://" in image or image.startswith(("/", "data:")):
            return image
        if ".." in image.replace("\\", "/").split("/"):
            raise BadValue(f"image {quoted(image)} leads out of the pack's folder")
        path = os.path.join(self._folder, image)
        return self._name(path, pack_id or "") if os.path.lexists(path) else image

    def store(self) -> int:
        """Put what was found into the storage; how many were not there yet."""
        missing = [name for name in self._sources if not default_storage.exists(name)]
        for name in missing:
            try:
                with open(self._sources[name], "rb") as file:
                    default_storage.save(name, File(file))
            except OSError as exc:
                with suppress(OSError):  # a part of it would pass for the whole
                    default_storage.delete(name)
                raise RefusedPack(f"Nothing was loaded: {name} cannot be stored: {exc.strerror}.") from exc
        return len(missing)

    def _find_name(self, path: str, pack_id: str) -> str:
        real = os.path.realpath(path)
        if os.path.commonpath([self._folder, real]) != self._folder:
            raise BadValue(
                f"image {quoted(os.path.relpath(path, self._folder))} is a link out of the pack's folder"
            )
        if not os.path.isfile(real):
            raise BadValue(f"image {quoted(os.path.relpath(path, self._folder))} is not a file")
        if os.path.splitext(path)[1].lower() not in _ENDINGS:
            raise BadValue(
                f"image {quoted(os.path.relpath(path, self._folder))} is none of {', '.join(_ENDINGS)}"
            )
        with open(real, "rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        stem, suffix = os.path.splitext(os.path.basename(path))
        folder = slugify(pack_id, allow_unicode=True) or "pack"
        name = (
            f"packs/{folder}/{slugify(stem, allow_unicode=True) or 'image'}.{checksum[:12]}{suffix.lower()}"
        )
        self._sources[name] = real
        return name
