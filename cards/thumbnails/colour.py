"""The colours of an illustration, whatever it counts them in, as those of a thumbnail: sRGB in 8 bits."""

from __future__ import annotations

import io

from PIL import Image, ImageCms, ImageMath
from PIL.PngImagePlugin import PngImageFile

_SRGB = ImageCms.createProfile("sRGB")
# What an ICC profile calls the space that it describes, by the mode of a picture that is counted in it.
_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
_FULL_16, _FULL_8 = 65535, 255
# By how much Pillow multiplies grey in few bits, but not the grey that is to be clear.
_SCALES = {"L;2": 85, "L;4": 17}


def mend_clear_colour(image: Image.Image) -> None:
    """Of a PNG that is not loaded yet: the colour that is to be clear, as its pixels will have it."""
    if not (isinstance(image, PngImageFile) and image.tile):
        return
    clear, how = image.info.get("transparency"), image.tile[0].args
    if isinstance(clear, int) and how in _SCALES:
        image.info["transparency"] = clear * _SCALES[how]
    elif isinstance(clear, tuple) and how == "RGB;16B":
        image.info["transparency"] = tuple(channel >> 8 for channel in clear)


def in_8_bits(image: Image.Image) -> Image.Image:
    """L, LA, RGB, RGBA or CMYK: what can be scaled, and what profiles are made for.

    Pillow itself cuts grey in 16 bits off at 255, so that nearly all of it is white.
    """
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    base = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return _as(image, f"{base}A" if image.has_transparency_data else base)


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, or RGBA, of a picture ``in_8_bits`` under its own ICC profile.

    A profile that is broken, or made for other colours than these, is as good as none.
    """
    base = {"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode)
    converted = _converted(_as(image, base), profile)
    if image.mode != base:
        converted.putalpha(image.getchannel("A"))
    return converted


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _from_16_bits(image: Image.Image) -> Image.Image:
    wide, clear = image.convert("I"), image.info.get("transparency")
    grey = wide.point(lambda value: value * (_FULL_8 / _FULL_16) + 0.5).convert("L")
    if isinstance(clear, int):
        seen = ImageMath.lambda_eval(lambda given: (given["wide"] != clear) * _FULL_8, wide=wide)
        grey.putalpha(seen.convert("L"))
    return grey


def _converted(image: Image.Image, profile: bytes | None) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        if source.profile.xcolor_space != _SPACES[image.mode]:
            return image.convert("RGB")
        transform = ImageCms.buildTransform(
            source, _SRGB, image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return transform.apply(image)
