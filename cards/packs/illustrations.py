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

from cards.packs.errors import BadValue, InvalidPack
from cards.packs.values import normalize_nfc
from ops.formatting import pluralize, quote_truncated

_UNSAFE_PREFIXES = ("javascript:", "vbscript:", "file:", "data:text")
# Anything else, such as HTML or SVG, could bring scripts into the admin's own site.
_MAX_SLUG_BYTES = 200  # bytes
_IMAGE_SUFFIXES = (".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# What a name in the storage begins with, as in a pack that was exported.
_STORAGE_PREFIXES = ("packs/", "thumbnails/")


class Illustrations:
    """Pictures named by a path relative to the pack, as ``images/condor.webp``.

    A stored picture is named by its checksum too: storing it twice is harmless, and a new picture under
    the old name is a change of the card that the audit log shows. Everything else, a URL or a path that
    leads nowhere, stays as the pack gives it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._sources: dict[str, str] = {}
        self._missing, self._first_missing = 0, ""
        self._storage_name = lru_cache(maxsize=4096)(self._build_storage_name)
        self._nfc_names = lru_cache(maxsize=256)(_file_names_by_nfc)

    def resolve(self, image: str, pack_id: str | None) -> str:
        """The image's name in the storage if it lies beside the pack, else the image as given."""
        if image.lower().startswith(_UNSAFE_PREFIXES):
            raise BadValue(f"image {quote_truncated(image)} is no address of a picture")
        if "://" in image or image.startswith(("/", "data:")):
            return image
        if ".." in image.replace("\\", "/").split("/"):
            raise BadValue(f"image {quote_truncated(image)} leads out of the pack's folder")
        path = self._find_file(image)
        if path is None:
            self._count_missing(image)
            return image
        return self._storage_name(path, pack_id or "")

    def missing_remarks(self) -> list[str]:
        """What whoever made the pack should know of its pictures."""
        if not self._missing:
            return []
        count = pluralize(self._missing, "picture")
        return [f"  Not beside the pack, and left as named: {count}; the first is {self._first_missing}"]

    def store_found(self) -> int:
        """Put what was found into the storage; how many were not there yet."""
        missing = [name for name in self._sources if not default_storage.exists(name)]
        for name in missing:
            try:
                with open(self._sources[name], "rb") as file:
                    default_storage.save(name, File(file))
            except OSError as exc:
                with suppress(OSError):  # a part of it would pass for the whole
                    default_storage.delete(name)
                raise InvalidPack(f"Nothing was loaded: {name} cannot be stored: {exc.strerror}.") from exc
        return len(missing)

    def _find_file(self, image: str) -> str | None:
        """The path of a file beside the pack, whose name may be spelt decomposed, as macOS spells it."""
        path = self._folder
        for name in image.split("/"):
            if not os.path.lexists(os.path.join(path, name)):
                name = "" if name.isascii() else self._nfc_names(path).get(normalize_nfc(name), "")
                if not name:
                    return None
            path = os.path.join(path, name)
        return path

    def _count_missing(self, image: str) -> None:
        if not image.startswith(_STORAGE_PREFIXES):
            self._missing += 1
            self._first_missing = self._first_missing or quote_truncated(image)

    def _quote(self, path: str) -> str:
        return quote_truncated(os.path.relpath(path, self._folder))

    def _build_storage_name(self, path: str, pack_id: str) -> str:
        real = os.path.realpath(path)
        if os.path.commonpath([self._folder, real]) != self._folder:
            raise BadValue(f"image {self._quote(path)} is a link out of the pack's folder")
        if not os.path.isfile(real):
            raise BadValue(f"image {self._quote(path)} is not a file")
        if os.path.splitext(path)[1].lower() not in _IMAGE_SUFFIXES:
            raise BadValue(f"image {self._quote(path)} is none of {', '.join(_IMAGE_SUFFIXES)}")
        try:
            with open(real, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            told = f"image {self._quote(path)} cannot be read: {exc.strerror}"
            raise BadValue(told) from exc
        stem, suffix = os.path.splitext(os.path.basename(path))
        name = (
            f"packs/{_path_slug(pack_id, 'pack')}/{_path_slug(stem, 'image')}.{checksum[:12]}{suffix.lower()}"
        )
        self._sources[name] = real
        return name


def _path_slug(text: str, otherwise: str) -> str:
    """A part of a path, as long as a file system takes it, which counts bytes."""
    return slugify(text, allow_unicode=True).encode()[:_MAX_SLUG_BYTES].decode(errors="ignore") or otherwise


def _file_names_by_nfc(folder: str) -> dict[str, str]:
    """The names in a folder by their composed spelling."""
    try:
        return {normalize_nfc(name): name for name in os.listdir(folder)}
    except OSError:
        return {}
