"""A rarity as a badge in the frame colour of its rule."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

_TEXT_COLORS = ("#000000", "#FFFFFF")
# Of a rarity that has no rule.
_DEFAULT_COLOR = "#E5E7EB"


def format_rarity_badge(text: str, frame_color: str | None) -> SafeString:
    paper = frame_color or _DEFAULT_COLOR
    return format_html(
        '<span class="cards-badge" style="background:{};color:{}">{}</span>',
        paper,
        choose_text_color(paper),
        text,
    )


def choose_text_color(paper: str) -> str:
    """Black or white, whichever is read better on the colour (``#4A90E2``)."""
    return max(_TEXT_COLORS, key=lambda ink: get_contrast_ratio(ink, paper))


def get_contrast_ratio(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_get_relative_luminance(one), _get_relative_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _get_relative_luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
