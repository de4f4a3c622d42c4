"""The badge of a rarity, in the frame color of its rule."""

from __future__ import annotations

import re

from django.utils.html import format_html
from django.utils.safestring import SafeString

_COLOR = re.compile("#[0-9A-Fa-f]{6}")
_TEXT_COLORS = ("#000000", "#FFFFFF")
# For a rarity without a rule.
NO_RULE_COLOR = "#E5E7EB"


def format_rarity_badge(text: str, frame_color: str | None) -> SafeString:
    background = frame_color or NO_RULE_COLOR
    return format_html(
        '<span class="cards-badge" style="background:{};color:{}">{}</span>',
        background,
        choose_text_color(background),
        text,
    )


def format_color(color: str) -> SafeString:
    """Show a frame colour (``#4A90E2``) beside its code; any other text as it is."""
    if not _COLOR.fullmatch(color):
        return format_html("{}", color)
    return format_html('<span class="cards-swatch" style="background:{}"></span>{}', color, color)


def choose_text_color(background: str) -> str:
    """Return black or white, whichever has the higher contrast on the colour (``#4A90E2``)."""
    return max(_TEXT_COLORS, key=lambda color: get_contrast_ratio(color, background))


def get_contrast_ratio(one: str, other: str) -> float:
    """Return the contrast ratio of two colours by WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_get_relative_luminance(one), _get_relative_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _get_relative_luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(c * weight for c, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
