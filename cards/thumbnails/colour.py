"""Conversion of an illustration's colours, in any mode and profile, to 8-bit sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms, ImageMath
from PIL.PngImagePlugin import PngImageFile

_SRGB = ImageCms.createProfile("sRGB")
# The colour space in the header of an ICC profile, by the mode of the picture.
_ICC_COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
_MAX_16_BIT, _MAX_8_BIT = 65535, 255
# Pillow scales grey of 2 or 4 bits by these factors, but not the transparent grey.
_GREY_SCALES = {"L;2": 85, "L;4": 17}


def fix_png_transparency(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG, before it is loaded, as Pillow scales its pixels."""
    if not (isinstance(image, PngImageFile) and image.tile):
        return
    transparent, raw_mode = image.info.get("transparency"), image.tile[0].args
    if isinstance(transparent, int) and raw_mode in _GREY_SCALES:
        image.info["transparency"] = transparent * _GREY_SCALES[raw_mode]
    elif isinstance(transparent, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(channel >> 8 for channel in transparent)


def to_8_bit(image: Image.Image) -> Image.Image:
    """Convert to L, LA, RGB, RGBA or CMYK, the modes that can be resized and that ICC profiles describe.

    Pillow's own conversion clips 16-bit grey at 255, so that nearly all of it becomes white.
    """
    if image.mode.startswith("I"):
        return _convert_16_bit_grey(image)
    base = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return _convert_mode(image, f"{base}A" if image.has_transparency_data else base)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert the result of ``to_8_bit`` by its ICC profile to RGB, or to RGBA if it has alpha.

    A profile that is damaged, or for another colour space, is ignored.
    """
    base = {"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode)
    converted = _apply_icc_profile(_convert_mode(image, base), profile)
    if image.mode != base:
        converted.putalpha(image.getchannel("A"))
    return converted


def _convert_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _convert_16_bit_grey(image: Image.Image) -> Image.Image:
    wide, transparent = image.convert("I"), image.info.get("transparency")
    grey = wide.point(lambda value: value * (_MAX_8_BIT / _MAX_16_BIT) + 0.5).convert("L")
    if isinstance(transparent, int):
        alpha = ImageMath.lambda_eval(lambda args: (args["wide"] != transparent) * _MAX_8_BIT, wide=wide)
        grey.putalpha(alpha.convert("L"))
    return grey


def _apply_icc_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        if source.profile.xcolor_space != _ICC_COLOUR_SPACES[image.mode]:
            return image.convert("RGB")
        transform = ImageCms.buildTransform(
            source, _SRGB, image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return transform.apply(image)
