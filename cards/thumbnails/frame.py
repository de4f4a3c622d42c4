"""The frame of a rarity, drawn once for each look at four times its size, which smooths its edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cards.thumbnails.badges import BADGES
from cards.thumbnails.look import Colour, Look

WIDTH, HEIGHT = 300, 400
_FINE = 4
_CLEAR = (0, 0, 0, 0)
# In pixels of the finished thumbnail: around the card, the card's corners, the frame's breadth, the badge.
_MARGIN, _CORNER, _BREADTH = 9, 20, 10
_BADGE, _RING = 27, 3
_EDGE = _MARGIN + _BREADTH
WINDOW = (_EDGE, _EDGE, WIDTH - _EDGE, HEIGHT - _EDGE)


@dataclass(frozen=True)
class Frame:
    """Everything but the illustration: ``window`` is the mask of where that shows, ``overlay`` lies on it."""

    window: Image.Image
    overlay: Image.Image
    ground: Colour


@lru_cache(maxsize=64)
def frame_of(look: Look) -> Frame:
    card, window = _rounded(_MARGIN, _CORNER), _rounded(_EDGE, _CORNER - _BREADTH + 1)
    overlay = Image.new("RGBA", (WIDTH * _FINE, HEIGHT * _FINE), _CLEAR)
    _lay(overlay, look.colour if look.glow else (0, 0, 0), _halo(card, look.glow))
    _lay(overlay, look.lighter(0.2) if look.glow else (0, 0, 0), _within(window, look.glow))
    _draw_band(overlay, look, ImageChops.subtract(card, window))
    if look.badge:
        _draw_badge(overlay, look)
    return Frame(_small(window).crop(WINDOW), _small(overlay), look.darker(0.7))


def _rounded(inset: float, radius: float) -> Image.Image:
    mask = Image.new("L", (WIDTH * _FINE, HEIGHT * _FINE), 0)
    box = (inset * _FINE, inset * _FINE, (WIDTH - inset) * _FINE - 1, (HEIGHT - inset) * _FINE - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * _FINE, fill=255)
    return mask


def _small(image: Image.Image) -> Image.Image:
    return image.reduce(_FINE)


def _lay(overlay: Image.Image, colour: Colour, mask: Image.Image) -> None:
    layer = Image.new("RGBA", overlay.size, (*colour, 0))
    layer.putalpha(mask)
    overlay.alpha_composite(layer)


def _halo(card: Image.Image, glow: bool) -> Image.Image:
    """What falls around the card: light of its colour, or a faint shadow."""
    soft = _blurred(card, 3.6 if glow else 2.4)
    return ImageChops.subtract(soft.point([round(v * (1.0 if glow else 0.45)) for v in range(256)]), card)


def _within(window: Image.Image, glow: bool) -> Image.Image:
    """The same along the inner edge of the frame, on the illustration."""
    soft = ImageChops.invert(_blurred(window, 5 if glow else 4))
    strength = 0.85 if glow else 0.6
    return ImageChops.multiply(soft.point([round(v * strength) for v in range(256)]), window)


def _blurred(mask: Image.Image, radius: float) -> Image.Image:
    """At the size of the thumbnail, where a blur costs a sixteenth."""
    return _small(mask).filter(ImageFilter.GaussianBlur(radius)).resize(mask.size, Image.Resampling.BICUBIC)


def _draw_band(overlay: Image.Image, look: Look, band: Image.Image) -> None:
    """Lit from above, with a bright outer and a dark inner edge."""
    overlay.paste(_gradient(overlay.size, look.lighter(0.4), look.darker(0.3)), (0, 0), band)
    bright = ImageChops.subtract(_rounded(_MARGIN, _CORNER), _rounded(_MARGIN + 1.5, _CORNER - 1.5))
    dark = ImageChops.subtract(
        _rounded(_EDGE - 1.5, _CORNER - _BREADTH + 2.5), _rounded(_EDGE, _CORNER - _BREADTH + 1)
    )
    overlay.paste(_gradient(overlay.size, look.lighter(0.75), look.darker(0.1)), (0, 0), bright)
    overlay.paste(_gradient(overlay.size, look.darker(0.65), look.darker(0.35)), (0, 0), dark)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp).convert("RGBA")


def _draw_badge(overlay: Image.Image, look: Look) -> None:
    """A medallion on the lower edge of the frame, its icon in the colour of the rarity."""
    centre = (WIDTH / 2, HEIGHT - _MARGIN - _BADGE - 1)
    shadow = _blurred(_shape(overlay.size, centre, _BADGE), 3).point([round(v * 0.6) for v in range(256)])
    _lay(overlay, (0, 0, 0), shadow)
    ring, disc = _shape(overlay.size, centre, _BADGE), _shape(overlay.size, centre, _BADGE - _RING)
    left, top = (round(c - _BADGE) * _FINE for c in centre)
    part = (left, top, left + 2 * _BADGE * _FINE, top + 2 * _BADGE * _FINE)
    for mask, light, shade in (
        (ring, look.lighter(0.65), look.darker(0.35)),
        (disc, look.darker(0.88), look.darker(0.7)),
        (_icon(overlay.size, centre, look.badge), look.lighter(0.7), look.lighter(0.05)),
    ):
        overlay.paste(_gradient(ring.crop(part).size, light, shade), part[:2], mask.crop(part))


def _shape(size: tuple[int, int], centre: tuple[float, float], radius: float) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).circle([c * _FINE for c in centre], radius * _FINE, fill=255)
    return mask


def _icon(size: tuple[int, int], centre: tuple[float, float], badge: str) -> Image.Image:
    mask, scale = Image.new("L", size, 0), (_BADGE - _RING) * 0.62
    pen = ImageDraw.Draw(mask)
    for outline in BADGES[badge]:
        pen.polygon(
            [((centre[0] + x * scale) * _FINE, (centre[1] + y * scale) * _FINE) for x, y in outline], 255
        )
    return mask
