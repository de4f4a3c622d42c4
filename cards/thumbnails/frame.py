"""The frame of a rarity, drawn once for each style at four times its size for antialiasing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cards.thumbnails.badges import BADGES
from cards.thumbnails.style import Colour, FrameStyle

WIDTH, HEIGHT = 300, 400
_SUPERSAMPLING = 4
_TRANSPARENT = (0, 0, 0, 0)
# In pixels of the thumbnail.
_MARGIN, _CORNER_RADIUS, _FRAME_WIDTH = 9, 20, 10
_BADGE_RADIUS, _BADGE_RING_WIDTH = 27, 3
_INNER_EDGE = _MARGIN + _FRAME_WIDTH
WINDOW_BOX = (_INNER_EDGE, _INNER_EDGE, WIDTH - _INNER_EDGE, HEIGHT - _INNER_EDGE)


@dataclass(frozen=True)
class Frame:
    """Everything but the illustration: ``window`` is its mask, ``overlay`` is drawn over it."""

    window: Image.Image
    overlay: Image.Image
    background_colour: Colour


@lru_cache(maxsize=64)
def render_frame(style: FrameStyle) -> Frame:
    """Render the frame of a style, with cache."""
    card, window = (
        _rounded_mask(_MARGIN, _CORNER_RADIUS),
        _rounded_mask(_INNER_EDGE, _CORNER_RADIUS - _FRAME_WIDTH + 1),
    )
    overlay = Image.new("RGBA", (WIDTH * _SUPERSAMPLING, HEIGHT * _SUPERSAMPLING), _TRANSPARENT)
    _composite_colour(overlay, style.colour if style.glow else (0, 0, 0), _outer_glow_mask(card, style.glow))
    _composite_colour(
        overlay, style.lighter(0.2) if style.glow else (0, 0, 0), _inner_glow_mask(window, style.glow)
    )
    _draw_band(overlay, style, ImageChops.subtract(card, window))
    if style.badge:
        _draw_badge(overlay, style)
    return Frame(_downsample(window).crop(WINDOW_BOX), _downsample(overlay), style.darker(0.7))


def _rounded_mask(inset: float, radius: float) -> Image.Image:
    mask = Image.new("L", (WIDTH * _SUPERSAMPLING, HEIGHT * _SUPERSAMPLING), 0)
    box = (
        inset * _SUPERSAMPLING,
        inset * _SUPERSAMPLING,
        (WIDTH - inset) * _SUPERSAMPLING - 1,
        (HEIGHT - inset) * _SUPERSAMPLING - 1,
    )
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * _SUPERSAMPLING, fill=255)
    return mask


def _downsample(image: Image.Image) -> Image.Image:
    return image.reduce(_SUPERSAMPLING)


def _composite_colour(overlay: Image.Image, colour: Colour, mask: Image.Image) -> None:
    layer = Image.new("RGBA", overlay.size, (*colour, 0))
    layer.putalpha(mask)
    overlay.alpha_composite(layer)


def _outer_glow_mask(card: Image.Image, glow: bool) -> Image.Image:
    """Return the mask of the glow around the card, or of a faint shadow."""
    soft = _blur_mask(card, 3.6 if glow else 2.4)
    return ImageChops.subtract(soft.point([round(v * (1.0 if glow else 0.45)) for v in range(256)]), card)


def _inner_glow_mask(window: Image.Image, glow: bool) -> Image.Image:
    """Return the mask of the glow or shadow on the illustration, along the inner edge of the frame."""
    soft = ImageChops.invert(_blur_mask(window, 5 if glow else 4))
    strength = 0.85 if glow else 0.6
    return ImageChops.multiply(soft.point([round(v * strength) for v in range(256)]), window)


def _blur_mask(mask: Image.Image, radius: float) -> Image.Image:
    """Blur at the size of the thumbnail, which takes a sixteenth of the time."""
    return (
        _downsample(mask).filter(ImageFilter.GaussianBlur(radius)).resize(mask.size, Image.Resampling.BICUBIC)
    )


def _draw_band(overlay: Image.Image, style: FrameStyle, band: Image.Image) -> None:
    """Draw the frame's band, lit from above, with a bright outer and a dark inner edge."""
    overlay.paste(_vertical_gradient(overlay.size, style.lighter(0.4), style.darker(0.3)), (0, 0), band)
    bright = ImageChops.subtract(
        _rounded_mask(_MARGIN, _CORNER_RADIUS), _rounded_mask(_MARGIN + 1.5, _CORNER_RADIUS - 1.5)
    )
    dark = ImageChops.subtract(
        _rounded_mask(_INNER_EDGE - 1.5, _CORNER_RADIUS - _FRAME_WIDTH + 2.5),
        _rounded_mask(_INNER_EDGE, _CORNER_RADIUS - _FRAME_WIDTH + 1),
    )
    overlay.paste(_vertical_gradient(overlay.size, style.lighter(0.75), style.darker(0.1)), (0, 0), bright)
    overlay.paste(_vertical_gradient(overlay.size, style.darker(0.65), style.darker(0.35)), (0, 0), dark)


def _vertical_gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp).convert("RGBA")


def _draw_badge(overlay: Image.Image, style: FrameStyle) -> None:
    """Draw a medallion on the lower edge of the frame, with an icon in the rarity's colour."""
    centre = (WIDTH / 2, HEIGHT - _MARGIN - _BADGE_RADIUS - 1)
    shadow = _blur_mask(_disc_mask(overlay.size, centre, _BADGE_RADIUS), 3).point(
        [round(v * 0.6) for v in range(256)]
    )
    _composite_colour(overlay, (0, 0, 0), shadow)
    ring, disc = (
        _disc_mask(overlay.size, centre, _BADGE_RADIUS),
        _disc_mask(overlay.size, centre, _BADGE_RADIUS - _BADGE_RING_WIDTH),
    )
    left, top = (round(c - _BADGE_RADIUS) * _SUPERSAMPLING for c in centre)
    part = (left, top, left + 2 * _BADGE_RADIUS * _SUPERSAMPLING, top + 2 * _BADGE_RADIUS * _SUPERSAMPLING)
    for mask, light, shade in (
        (ring, style.lighter(0.65), style.darker(0.35)),
        (disc, style.darker(0.88), style.darker(0.7)),
        (_badge_icon_mask(overlay.size, centre, style.badge), style.lighter(0.7), style.lighter(0.05)),
    ):
        overlay.paste(_vertical_gradient(ring.crop(part).size, light, shade), part[:2], mask.crop(part))


def _disc_mask(size: tuple[int, int], centre: tuple[float, float], radius: float) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).circle([c * _SUPERSAMPLING for c in centre], radius * _SUPERSAMPLING, fill=255)
    return mask


def _badge_icon_mask(size: tuple[int, int], centre: tuple[float, float], badge: str) -> Image.Image:
    mask, scale = Image.new("L", size, 0), (_BADGE_RADIUS - _BADGE_RING_WIDTH) * 0.62
    pen = ImageDraw.Draw(mask)
    for outline in BADGES[badge]:
        pen.polygon(
            [
                ((centre[0] + x * scale) * _SUPERSAMPLING, (centre[1] + y * scale) * _SUPERSAMPLING)
                for x, y in outline
            ],
            255,
        )
    return mask
