"""The badges, as outlines in a square from -1 to 1 with y pointing down."""

from __future__ import annotations

from math import cos, pi, sin

Point = tuple[float, float]
Outline = list[Point]


def _regular_polygon(corners: int, radius: float, start: float = -pi / 2) -> Outline:
    angles = [start + 2 * pi * number / corners for number in range(corners)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def _star_outline() -> Outline:
    outer, inner = _regular_polygon(5, 1.0), _regular_polygon(5, 0.45, start=-pi / 2 + pi / 5)
    return [(x, y + 0.06) for pair in zip(outer, inner, strict=True) for x, y in pair]


_CROWN = [(-0.95, -0.42), (-0.45, 0.08), (0, -0.72), (0.45, 0.08), (0.95, -0.42), (0.74, 0.46), (-0.74, 0.46)]


def _pearl_outline(x: float, y: float) -> Outline:
    return [(x + dx, y + dy) for dx, dy in _regular_polygon(24, 0.14)]


# Each badge is a list of outlines, filled one over the other.
BADGES: dict[str, list[Outline]] = {
    "circle": [_regular_polygon(96, 0.68)],
    "diamond": [[(0, -0.95), (0.72, 0), (0, 0.95), (-0.72, 0)]],
    "star": [_star_outline()],
    "crown": [
        _CROWN,
        [(-0.74, 0.58), (0.74, 0.58), (0.7, 0.78), (-0.7, 0.78)],
        _pearl_outline(-0.95, -0.5),
        _pearl_outline(0, -0.8),
        _pearl_outline(0.95, -0.5),
    ],
}
