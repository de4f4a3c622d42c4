"""The colours of an illustration, whatever it counts them in, as those of a thumbnail: sRGB in 8 bits."""

from __future__ import annotations

import io

from PIL import Image, ImageCms, ImageMath
from PIL.PngImagePlugin import PngImageFile

_SRGB = ImageCms.createProfile("sRGB")
# What an ICC profile calls the space that it describes, by the mode of a picture that is counted in it.
_ICC_COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}
_MAX_16_BIT, _MAX_8_BIT = 65535, 255
# By how much Pillow multiplies grey in few bits, but not the grey that is to be clear.
_GREY_SCALES = {"L;2": 85, "L;4": 17}


def fix_png_transparency(image: Image.Image) -> None:
    """Of a PNG that is not loaded yet: the colour that is to be clear, as its pixels will have it."""
    if not (isinstance(image, PngImageFile) and image.tile):
        return
    clear, how = image.info.get("transparency"), image.tile[0].args
    if isinstance(clear, int) and how in _GREY_SCALES:
        image.info["transparency"] = clear * _GREY_SCALES[how]
    elif isinstance(clear, tuple) and how == "RGB;16B":
        image.info["transparency"] = tuple(channel >> 8 for channel in clear)


def to_8_bit(image: Image.Image) -> Image.Image:
    """L, LA, RGB, RGBA or CMYK: what can be scaled, and what profiles are made for.

    Pillow itself cuts grey in 16 bits off at 255, so that nearly all of it is white.
    """
    if image.mode.startswith("I"):
        return _convert_16_bit_grey(image)
    base = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return _convert_mode(image, f"{base}A" if image.has_transparency_data else base)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, or RGBA, of a picture ``in_8_bits`` under its own ICC profile.

    A profile that is broken, or made for other colours than these, is as good as none.
    """
    base = {"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode)
    converted = _apply_icc_profile(_convert_mode(image, base), profile)
    if image.mode != base:
        converted.putalpha(image.getchannel("A"))
    return converted


def _convert_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _convert_16_bit_grey(image: Image.Image) -> Image.Image:
    wide, clear = image.convert("I"), image.info.get("transparency")
    grey = wide.point(lambda value: value * (_MAX_8_BIT / _MAX_16_BIT) + 0.5).convert("L")
    if isinstance(clear, int):
        seen = ImageMath.lambda_eval(lambda given: (given["wide"] != clear) * _MAX_8_BIT, wide=wide)
        grey.putalpha(seen.convert("L"))
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
