"""Loading of an illustration from the storage; an unusable one raises InvalidImage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cards.thumbnails.colour import fix_png_transparency, to_8_bit, to_srgb

# The formats that load_pack stores. For others, such as EPS, Pillow may start programs.
IMAGE_FORMATS = ("AVIF", "GIF", "JPEG", "PNG", "WEBP")
# Checked by the header: a file of kilobytes can be gigabytes when decoded.
_MAX_PIXELS = 64_000_000
# Pillow may first reduce an image by a fast method while it stays this many times larger; not visible.
_REDUCING_GAP = 2.0
# The transposition for each EXIF orientation; those from 5 on swap width and height.
_EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)


class InvalidImage(ValueError):
    """An illustration cannot be rendered; the message is stored with the failed row."""


def load_illustration(name: str, size: tuple[int, int]) -> Image.Image:
    """Return the stored illustration as ``read_illustration`` does. Raises InvalidImage."""
    with _open_stored_file(name) as file:
        return read_illustration(file, name, size)[0]


def read_illustration(file: IO[Any], name: str, size: tuple[int, int]) -> tuple[Image.Image, str]:
    """Return the illustration, upright, scaled and cropped to ``size``, RGB or RGBA in sRGB; and its format.

    Raises InvalidImage.
    """
    with _translate_pillow_errors(name):
        image = Image.open(file, formats=IMAGE_FORMATS)
        if image.width * image.height > _MAX_PIXELS:
            raise InvalidImage(
                f"{name} has {image.width:,} x {image.height:,} pixels; {_MAX_PIXELS:,} in all at most"
            )
        profile, kind = image.info.get("icc_profile"), image.format or ""
        if isinstance(image, JpegImageFile):
            image.draft(None, _draft_size(image, size))
        fix_png_transparency(image)
        image.load()
        return to_srgb(_crop_to_cover(to_8_bit(_apply_orientation(image)), size), profile), kind


@contextmanager
def _open_stored_file(name: str) -> Iterator[IO[Any]]:
    try:
        file = default_storage.open(name)
    except SuspiciousFileOperation:
        raise InvalidImage(f"{name} is outside the storage") from None
    except FileNotFoundError:
        raise InvalidImage(f"{name} is not in the storage") from None
    except OSError as exc:
        raise InvalidImage(f"{name} cannot be read: {exc.strerror or exc}") from exc
    with file:
        yield file


@contextmanager
def _translate_pillow_errors(name: str) -> Iterator[None]:
    """Translate the errors of Pillow, which differ by format, to InvalidImage."""
    try:
        yield
    except InvalidImage:
        raise
    except Image.DecompressionBombError as exc:
        raise InvalidImage(f"{name} has more than {_MAX_PIXELS:,} pixels") from exc
    except UnidentifiedImageError as exc:
        raise InvalidImage(
            f"{name} is not a picture in one of the formats {', '.join(IMAGE_FORMATS)}"
        ) from exc
    except Exception as exc:
        raise InvalidImage(f"{name} is damaged: {exc or type(exc).__name__}") from exc


def _draft_size(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Return the minimum size to decode a JPEG to, before it is rotated."""
    width, height = (round(side * _REDUCING_GAP) for side in size)
    return (height, width) if _exif_orientation(image) in _SIDEWAYS_ORIENTATIONS else (width, height)


def _exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 0 if the EXIF data cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data raise many types of errors
        return 0
    return orientation if isinstance(orientation, int) else 0


def _apply_orientation(image: Image.Image) -> Image.Image:
    return (
        image.transpose(_EXIF_TRANSPOSES[turn])
        if (turn := _exif_orientation(image)) in _EXIF_TRANSPOSES
        else image
    )


def _crop_to_cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale to cover ``size``, and crop evenly on both sides."""
    scale = min(image.width / size[0], image.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=_REDUCING_GAP)
