"""What every place is made of: sky, hills, clouds, mist and water."""

import math
from collections.abc import Sequence
from random import Random

from cards.sample.art.geometry import box, leaf, oval, smooth, toward
from cards.sample.art.palette import Mood
from cards.sample.art.pen import HEIGHT, WIDTH, Fade, Pen, darker, lighter, mix


def sky(pen: Pen, mood: Mood, x: float = 300, y: float = 290, radius: float = 190) -> None:
    """Draw the sky and its disc with two faint rings."""
    pen.fill(box(-2, -2, WIDTH + 2, HEIGHT + 2), Fade(mood.high, mood.low, (0, 0), (0, 620)))
    if mood.rays:
        for angle in range(0, 360, 15):
            ray = [(x, y), toward(x, y, angle - 3.2, 900), toward(x, y, angle + 3.2, 900)]
            pen.fill(ray, mood.sun, 0.16)
    for ring, alpha in ((1.55, 0.14), (1.26, 0.2)):
        pen.dot(x, y, radius * ring, mood.sun, alpha)
    pen.fill(
        oval(x, y, radius), Fade(mood.sun, mix(mood.sun, mood.low, 0.45), (x, y - radius), (x, y + radius))
    )


def stars(pen: Pen, rng: Random, colour: str, count: int = 46) -> None:
    """Draw a night sky's stars."""
    for _ in range(count):
        pen.dot(rng.uniform(0, WIDTH), rng.uniform(0, 470), rng.choice((1.2, 1.6, 2.4)), colour, 0.8)


def ridge(
    pen: Pen, rng: Random, y: float, rise: float, colour: str, peaks: int = 4, fade: str | None = None
) -> None:
    """Draw a soft line of hills from edge to edge."""
    step = (WIDTH + 160) / peaks
    crest = [
        (-120 + i * step / 2, y - (rise if i % 2 else 0) * rng.uniform(0.55, 1)) for i in range(peaks * 2 + 3)
    ]
    path = [*smooth(crest, closed=False), (WIDTH + 300, HEIGHT + 9), (-120, HEIGHT + 9)]
    pen.fill(path, Fade(colour, fade or colour, (0, y - rise), (0, y + 170)))


def peaks(
    pen: Pen, spots: Sequence[tuple[float, float, float]], base: float, colour: str, snow: str | None
) -> None:
    """Mountains with a lit and a shaded side, snow-capped when a colour is given."""
    for x, top, half in spots:
        pen.fill([(x - half, base), (x, top), (x + half, base)], colour)
        pen.fill(
            [(x, top), (x + half, base), (x + half * 0.1, base), (x + half * 0.14, top + half * 0.5)],
            darker(colour, 0.14),
        )
        if snow:
            drop = half * 0.36
            pen.fill(
                [
                    (x, top),
                    (x - drop, top + drop * (base - top) / half),
                    (x - drop * 0.4, top + drop * 0.8),
                    (x, top + drop * 1.3),
                    (x + drop * 0.4, top + drop * 0.75),
                    (x + drop, top + drop * (base - top) / half),
                ],
                snow,
            )


def cloud(pen: Pen, x: float, y: float, width: float, colour: str, alpha: float = 0.9) -> None:
    """Draw a flat-bottomed cloud of rounded bars."""
    for dx, dy, share in ((0, 0, 1.0), (0.14, -0.09, 0.6), (-0.12, 0.09, 0.62)):
        half, high = width * share / 2, width * 0.052
        middle = x + dx * width
        top = y + dy * width
        pen.fill(
            [
                *oval(middle + half, top, high)[54:],
                *oval(middle + half, top, high)[:19],
                *oval(middle - half, top, high)[18:55],
            ],
            colour,
            alpha,
        )


def mist(pen: Pen, y: float, height: float, colour: str, alpha: float = 0.55) -> None:
    """Draw a band of mist that is thickest at its lower edge."""
    for share in range(6):
        wave = [(x, y + height * share / 6 + 9 * math.sin(x / 90 + share)) for x in range(-20, 640, 20)]
        pen.fill([*wave, (640, y + height), (-20, y + height)], colour, alpha / 6)


def water(pen: Pen, rng: Random, top: float, colour: str, light: str) -> None:
    """Still water with broken lines of light."""
    pen.fill(
        box(-2, top, WIDTH + 2, HEIGHT + 2),
        Fade(lighter(colour, 0.25), darker(colour, 0.3), (0, top), (0, HEIGHT)),
    )
    for _ in range(38):
        y = rng.uniform(top + 8, HEIGHT)
        x, half = rng.uniform(-20, 620), rng.uniform(12, 52) * (0.5 + (y - top) / 300)
        pen.fill(leaf(x - half, y, 0, half * 2, 4.5), light, 0.4)
