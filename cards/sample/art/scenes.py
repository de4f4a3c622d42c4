"""The places: each scene has a back, drawn before the bird, and a front, drawn after it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cards.sample.art import flora
from cards.sample.art.geometry import box, leaf, oval, smooth
from cards.sample.art.palette import Mood
from cards.sample.art.pen import HEIGHT, WIDTH, Fade, Pen, darker, lighter, mix

Layer = Callable[[Pen, Mood, Random], None]


@dataclass(frozen=True)
class Scene:
    """What lies behind the bird, and what stands before it."""

    back: Layer
    front: Layer


def sky(pen: Pen, mood: Mood, x: float = 300, y: float = 290, radius: float = 190) -> None:
    """The sky and its disc with two faint rings."""
    pen.fill(box(-2, -2, WIDTH + 2, HEIGHT + 2), Fade(mood.high, mood.low, (0, 0), (0, 620)))
    for ring, alpha in ((1.55, 0.14), (1.26, 0.2)):
        pen.dot(x, y, radius * ring, mood.sun, alpha)
    pen.fill(
        oval(x, y, radius), Fade(mood.sun, mix(mood.sun, mood.low, 0.45), (x, y - radius), (x, y + radius))
    )


def stars(pen: Pen, rng: Random, colour: str, count: int = 46) -> None:
    """A night sky's stars."""
    for _ in range(count):
        pen.dot(rng.uniform(0, WIDTH), rng.uniform(0, 470), rng.choice((1.2, 1.6, 2.4)), colour, 0.8)


def ridge(
    pen: Pen, rng: Random, y: float, rise: float, colour: str, peaks: int = 4, fade: str | None = None
) -> None:
    """A soft line of hills from edge to edge."""
    step = (WIDTH + 160) / peaks
    crest = [
        (-120 + i * step / 2, y - (rise if i % 2 else 0) * rng.uniform(0.55, 1)) for i in range(peaks * 2 + 3)
    ]
    path = [*smooth(crest, closed=False), (WIDTH + 300, HEIGHT + 9), (-120, HEIGHT + 9)]
    pen.fill(path, Fade(colour, fade or colour, (0, y - rise), (0, y + 170)))


def peaks(
    pen: Pen, spots: list[tuple[float, float, float]], base: float, colour: str, snow: str | None
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
            pen.fill([(x, top), (x - drop, top + drop * (base - top) / half), (x - drop * 0.4, top + drop * 0.8), (x, top + drop * 1.3),
                      (x + drop * 0.4, top + drop * 0.75), (x + drop, top + drop * (base - top) / half)], snow)  # fmt: skip


def cloud(pen: Pen, x: float, y: float, width: float, colour: str, alpha: float = 0.9) -> None:
    """A flat-bottomed cloud of rounded bars."""
    for dx, dy, share in ((0, 0, 1.0), (0.14, -0.09, 0.6), (-0.12, 0.09, 0.62)):
        half, high = width * share / 2, width * 0.052
        middle = x + dx * width
        top = y + dy * width
        pen.fill([*oval(middle + half, top, high)[54:], *oval(middle + half, top, high)[:19],
                  *oval(middle - half, top, high)[18:55]], colour, alpha)  # fmt: skip


def mist(pen: Pen, y: float, height: float, colour: str, alpha: float = 0.55) -> None:
    """A band of mist that is thickest at its lower edge."""
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


def paramo_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 330, 270, 175)
    cloud(pen, 90, 150, 150, lighter(mood.low, 0.4))
    cloud(pen, 520, 420, 170, lighter(mood.low, 0.4), 0.7)
    peaks(pen, [(130, 330, 300), (500, 380, 260)], 640, mood.far, lighter(mood.sun, 0.5))
    ridge(pen, rng, 560, 50, mood.mid, 3, mood.far)
    ridge(pen, rng, 630, 40, mood.near, 4)
    for x, base, height in ((70, 645, 90), (150, 628, 64), (470, 640, 74), (548, 662, 110)):
        flora.frailejon(pen, x, base, height, mix(mood.leaf, mood.mid, 0.35))


def paramo_front(pen: Pen, mood: Mood, rng: Random) -> None:
    ridge(pen, rng, 730, 30, mood.front, 3)
    flora.frailejon(pen, 60, 800, 190, mood.leaf, mood.accent)
    flora.frailejon(pen, 560, 815, 150, mood.leaf)
    flora.grass(pen, rng, -10, 620, 806, 58, darker(mood.near, 0.15))


def high_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 300, 330, 205)
    cloud(pen, 500, 130, 170, lighter(mood.low, 0.5))
    cloud(pen, 70, 470, 190, lighter(mood.low, 0.5), 0.75)
    peaks(pen, [(80, 500, 250), (330, 455, 270), (560, 520, 220)], 760, mood.far, lighter(mood.sun, 0.5))
    mist(pen, 610, 100, mood.low, 0.8)
    peaks(pen, [(210, 600, 260), (480, 585, 240)], 830, mood.mid, None)


def high_front(pen: Pen, mood: Mood, rng: Random) -> None:
    mist(pen, 690, 80, mood.low, 0.6)
    ridge(pen, rng, 745, 45, mood.front, 3)
    for x, base, height in ((60, 780, 130), (130, 800, 96), (520, 790, 140), (575, 806, 100)):
        flora.frailejon(pen, x, base, height, mood.leaf, mood.accent if height > 120 else None)


def cloud_forest_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 320, 280, 185)
    for y, rise, colour in (
        (470, 90, mood.far),
        (560, 80, mood.mid),
        (650, 70, mix(mood.mid, mood.near, 0.6)),
    ):
        ridge(pen, rng, y, rise, colour, 3, mix(colour, mood.low, 0.5))
        for _ in range(7):
            x = rng.uniform(0, 600)
            flora.tree(pen, x, y + 22, rng.uniform(50, 90), mix(colour, mood.near, 0.12), darker(colour, 0.2))
        mist(pen, y + 10, 74, mood.low, 0.75)
    for x, lean in ((40, 12), (566, -14)):
        pen.line([(x, -10), (x + lean, 400), (x, 810)], 46, mix(mood.near, mood.front, 0.35), 62)
        for y in (120, 330, 560):
            flora.bromeliad(pen, x + (26 if x < 300 else -26), y, 58, mood.leaf, mood.accent)


def cloud_forest_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x, angle, length in (
        (-10, 38, 230),
        (20, 68, 170),
        (610, 142, 230),
        (575, 108, 170),
        (110, 58, 120),
        (500, 124, 120),
    ):
        flora.fern(pen, x, 815, angle, length, mood.front)
    for x, angle in ((40, 60), (565, 122), (300, 90), (215, 74), (400, 108)):
        flora.fern(pen, x, 830, angle, 120, mood.leaf)


def rainforest_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 290, 300, 195)
    ridge(pen, rng, 520, 60, mood.far, 5, mix(mood.far, mood.low, 0.5))
    for x, base, height in ((60, 640, 300), (540, 650, 330), (420, 600, 190), (170, 600, 210)):
        flora.tree(pen, x, base, height, mix(mood.mid, mood.far, 0.35), darker(mood.mid, 0.1))
    ridge(pen, rng, 640, 50, mood.mid, 5)
    for x, angle, length in ((-20, 24, 230), (-10, 55, 190), (620, 158, 230), (610, 128, 200)):
        flora.palm_frond(pen, x, 600, angle, length, mood.near)
    ridge(pen, rng, 715, 45, mood.near, 4)


def rainforest_front(pen: Pen, mood: Mood, rng: Random) -> None:
    flora.broad_leaf(pen, -20, 830, 62, 260, mood.leaf)
    flora.broad_leaf(pen, 625, 820, 116, 250, mood.leaf)
    flora.monstera(pen, 70, 830, 48, 160, mood.front)
    flora.monstera(pen, 530, 830, 128, 170, mood.front)
    flora.heliconia(pen, 566, 62, 90, mood.accent, "#f4c95d")
    for x, angle, length in ((640, 218, 150), (560, 246, 150)):
        flora.broad_leaf(pen, x, -20, angle, length, mood.front)
    for x, angle, length in ((-30, -28, 170), (30, -62, 140)):
        flora.broad_leaf(pen, x, -22, angle, length, mood.front)


def wetland_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 310, 300, 190)
    cloud(pen, 100, 170, 170, lighter(mood.low, 0.4), 0.75)
    cloud(pen, 505, 250, 140, lighter(mood.low, 0.4), 0.75)
    ridge(pen, rng, 520, 22, mood.far, 6)
    for x, height in ((70, 150), (112, 112), (530, 170), (575, 120)):
        pen.line([(x, 525), (x + 4, 525 - height)], 6, darker(mood.far, 0.35), 4)
        for angle in (-20, 15, 50, 90, 130, 165, 200):
            pen.fill(leaf(x + 4, 525 - height, angle, 46, 11, (90 - angle) * -0.3), darker(mood.far, 0.35))
    water(pen, rng, 540, mood.mid, mood.sun)
    pen.fill(box(-5, 534, 605, 546), mood.near)
    for x in (20, 70, 540, 590):
        flora.reeds(pen, rng, x, 575, 110, mood.near)


def wetland_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x, y, radius in ((470, 742, 62), (130, 770, 76), (330, 790, 54)):
        flora.lily_pad(pen, x, y, radius, mood.leaf)
    flora.flower(pen, 500, 726, 20, mood.accent, mood.sun)
    flora.reeds(pen, rng, 40, 820, 250, mood.front, "#7a4a2f")
    flora.reeds(pen, rng, 570, 820, 220, mood.front, "#7a4a2f")
