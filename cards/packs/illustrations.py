"""The pictures in a pack's folder: found while it is read, stored when it is loaded."""

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
_MAX_SLUG_BYTES = 200
# Other types, such as HTML or SVG, could run scripts on the admin's own origin.
_IMAGE_SUFFIXES = (".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# Prefixes of storage names, as in an exported pack.
_STORAGE_PREFIXES = ("packs/", "thumbnails/")


class Illustrations:
    """Pictures given as a path relative to the pack, as ``images/condor.webp``.

    The storage name contains the checksum: storing a picture twice is harmless, and a new picture under the
    old name is an audited change of the card. URLs and paths of missing files stay as they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._sources: dict[str, str] = {}
        self._missing, self._first_missing = 0, ""
        self._storage_name = lru_cache(maxsize=4096)(self._build_storage_name)
        self._nfc_names = lru_cache(maxsize=256)(_file_names_by_nfc)

    def resolve(self, image: str, pack_id: str | None) -> str:
        """Return the storage name of an image in the pack's folder, else the image. Raises BadValue."""
        if image.lower().startswith(_UNSAFE_PREFIXES):
            raise BadValue(f"image {quote_truncated(image)} is not the URL of a picture")
        if "://" in image or image.startswith(("/", "data:")):
            return image
        if ".." in image.replace("\\", "/").split("/"):
            raise BadValue(f"image {quote_truncated(image)} is outside the pack's folder")
        path = self._find_file(image)
        if path is None:
            self._count_missing(image)
            return image
        return self._storage_name(path, pack_id or "")

    def missing_remarks(self) -> list[str]:
        """Return a line on the pictures that were not found, for the author of the pack."""
        if not self._missing:
            return []
        count, first = pluralize(self._missing, "picture"), self._first_missing
        place = "not found in the folder of the pack"
        if self._missing == 1:
            return [f"  {count} was {place}: {first}. The value of image is stored unchanged."]
        return [f"  {count} were {place}; the first: {first}. The values are stored unchanged."]

    def count_missing(self) -> int:
        """Count the pictures that were not found."""
        return self._missing

    def store_found(self) -> int:
        """Store the pictures that were found; return the number of new ones. Raises InvalidPack."""
        missing = [name for name in self._sources if not default_storage.exists(name)]
        for name in missing:
            try:
                with open(self._sources[name], "rb") as file:
                    default_storage.save(name, File(file))
            except OSError as exc:
                with suppress(OSError):  # a partial file would pass for a complete one
                    default_storage.delete(name)
                raise InvalidPack(f"Nothing was loaded: {name} cannot be stored: {exc.strerror}.") from exc
        return len(missing)

    def _find_file(self, image: str) -> str | None:
        """Return the path of a file in the pack's folder, whose name may be decomposed (NFD), as on macOS."""
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
            raise BadValue(f"image {self._quote(path)} links to a file outside the pack's folder")
        if not os.path.isfile(real):
            raise BadValue(f"image {self._quote(path)} is not a file")
        if os.path.splitext(path)[1].lower() not in _IMAGE_SUFFIXES:
            raise BadValue(f"image {self._quote(path)} has none of the suffixes {', '.join(_IMAGE_SUFFIXES)}")
        try:
            with open(real, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise BadValue(f"image {self._quote(path)} cannot be read: {exc.strerror}") from exc
        stem, suffix = os.path.splitext(os.path.basename(path))
        name = build_picture_name(pack_id, stem, checksum, suffix.lower())
        self._sources[name] = real
        return name


def build_picture_name(pack_id: str, stem: str, checksum: str, suffix: str) -> str:
    """Return the storage name of a picture; its parts, which may be any text, cannot leave the folder."""
    return f"packs/{_path_slug(pack_id, 'pack')}/{_path_slug(stem, 'image')}.{checksum[:12]}{suffix}"


def _path_slug(text: str, default: str) -> str:
    """Slugify a part of a path, limited in bytes, as file systems count."""
    return slugify(text, allow_unicode=True).encode()[:_MAX_SLUG_BYTES].decode(errors="ignore") or default


def _file_names_by_nfc(folder: str) -> dict[str, str]:
    """Map the NFC form of the names in a folder to the names."""
    try:
        return {normalize_nfc(name): name for name in os.listdir(folder)}
    except OSError:
        return {}
