"""The style of a frame by its presentation rule: colour, glow, badge."""

from __future__ import annotations

from typing import NamedTuple

from cards.thumbnails.badges import BADGES

Colour = tuple[int, int, int]
_WHITE, _BLACK = (255, 255, 255), (14, 14, 20)


class FrameStyle(NamedTuple):
    """``badge`` is one of BADGES, or empty."""

    frame_color: str
    glow: bool
    badge: str

    @classmethod
    def parse(cls, text: str) -> FrameStyle:
        """Parse the text of `stale_cards`: ``#4A90E2 true diamond``. An unknown badge is left out."""
        colour, glow, badge = text.split(" ", 2)
        return cls(colour, glow == "true", badge if badge in BADGES else "")

    @property
    def colour(self) -> Colour:
        red, green, blue = bytes.fromhex(self.frame_color[1:])
        return red, green, blue

    def lighter(self, share: float) -> Colour:
        return mix_colours(self.colour, _WHITE, share)

    def darker(self, share: float) -> Colour:
        return mix_colours(self.colour, _BLACK, share)


def mix_colours(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours; ``share`` is that of the other one, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
