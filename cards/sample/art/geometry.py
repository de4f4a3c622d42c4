"""Outlines: smooth curves through a few points, and the simple figures that the drawings are made of."""

import math
from collections.abc import Sequence
from functools import lru_cache

Point = tuple[float, float]
Outline = Sequence[Point]

STEPS = 14


def _direction(start: Point, end: Point) -> Point:
    length = math.dist(start, end) or 1.0
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def _bezier(a: Point, b: Point, c: Point, d: Point) -> list[Point]:
    curve = []
    for step in range(STEPS):
        t = step / STEPS
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        curve.append(
            (
                sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)),
                sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)),
            )
        )
    return curve


def _segment(points: Outline, corners: Sequence[bool], at: int, closed: bool) -> list[Point]:
    count = len(points)
    start, end = points[at], points[(at + 1) % count]
    before = points[(at - 1) % count] if closed or at > 0 else start
    after = points[(at + 2) % count] if closed or at + 2 < count else end
    leave = _direction(start if corners[at] else before, end)
    arrive = _direction(start, end if corners[(at + 1) % count] else after)
    reach = math.dist(start, end) / 3
    return _bezier(
        start,
        (start[0] + leave[0] * reach, start[1] + leave[1] * reach),
        (end[0] - arrive[0] * reach, end[1] - arrive[1] * reach),
        end,
    )


@lru_cache(maxsize=4096)
def curve(text: str, closed: bool = True) -> tuple[Point, ...]:
    """Return a smooth curve through the points of "x,y x,y! ..."; a point with "!" is a corner."""
    tokens = text.split()
    corners = [token.endswith("!") for token in tokens]
    points = [(float(x), float(y)) for x, y in (token.rstrip("!").split(",") for token in tokens)]
    return smooth(points, corners, closed)


def smooth(points: Outline, corners: Sequence[bool] | None = None, closed: bool = True) -> tuple[Point, ...]:
    """Return a smooth curve through the points."""
    sharp = corners or [False] * len(points)
    segments = range(len(points) if closed else len(points) - 1)
    path = [point for at in segments for point in _segment(points, sharp, at, closed)]
    return tuple(path if closed else [*path, points[-1]])


def oval(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0) -> list[Point]:
    """Return an ellipse around (x, y), turned by ``turn`` degrees."""
    ry = rx if ry is None else ry
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    ring = [(rx * math.cos(a), ry * math.sin(a)) for a in (math.tau * i / 72 for i in range(72))]
    return [(x + px * cos - py * sin, y + px * sin + py * cos) for px, py in ring]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Return a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ribbon(path: Outline, start: float, end: float) -> list[Point]:
    """Return the path as a band whose width goes from start to end."""
    left, right = [], []
    for at, (x, y) in enumerate(path):
        dx, dy = _direction(path[max(at - 1, 0)], path[min(at + 1, len(path) - 1)])
        half = (start + (end - start) * at / (len(path) - 1)) / 2
        left.append((x - dy * half, y + dx * half))
        right.append((x + dy * half, y - dx * half))
    return left + right[::-1]


def toward(x: float, y: float, angle: float, length: float) -> Point:
    """Return the point at a distance from (x, y); 0 degrees points right, 90 points up."""
    return x + length * math.cos(math.radians(angle)), y - length * math.sin(math.radians(angle))


def leaf(x: float, y: float, angle: float, length: float, width: float, bend: float = 0) -> tuple[Point, ...]:
    """Return a pointed leaf or feather that grows from (x, y); bend turns its tip, in degrees."""
    tip = toward(x, y, angle + bend, length)
    belly = toward(x, y, angle + bend * 0.3, length * 0.45)
    one, two = (toward(*belly, angle + bend * 0.5 + side, width / 2) for side in (90, -90))
    return smooth([(x, y), one, tip, two], [True, False, True, False])


def petal(
    x: float, y: float, angle: float, length: float, width: float, bend: float = 0
) -> tuple[Point, ...]:
    """Return a feather with a round end that grows from (x, y)."""
    middle = toward(x, y, angle + bend * 0.4, length * 0.6)
    end = toward(x, y, angle + bend, length)
    near = toward(x, y, angle + bend * 0.9, length * 0.9)
    sides = [
        toward(*spot, angle + bend * 0.7 + turn, width * share)
        for spot, turn, share in ((middle, 90, 0.5), (near, 90, 0.4), (near, -90, 0.4), (middle, -90, 0.5))
    ]
    return smooth([(x, y), sides[0], sides[1], end, sides[2], sides[3]], [True] + [False] * 5)
