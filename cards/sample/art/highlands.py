"""The cool places: páramo, peaks, cloud forest, coffee hills, the cave."""

from random import Random

from cards.sample.art import flora
from cards.sample.art.geometry import box, leaf, smooth
from cards.sample.art.land import cloud, mist, peaks, ridge, sky, stars
from cards.sample.art.palette import Mood
from cards.sample.art.pen import HEIGHT, WIDTH, Fade, Pen, darker, lighter, mix


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
    ridge(pen, rng, 742, 26, mix(mood.near, mood.front, 0.55), 4, mood.front)
    for x, width in rng.choice(
        (((30, 70),), ((572, 76),), ((16, 44), (590, 60)), ((20, 62), (96, 26)), ((584, 58), (512, 24)))
    ):
        mossy_trunk(pen, mood, rng, x, width)


def mossy_trunk(pen: Pen, mood: Mood, rng: Random, x: float, width: float) -> None:
    """Draw a trunk from edge to edge, with moss, bromeliads and lianas."""
    lean, colour = rng.uniform(-22, 22), mix(mood.near, mood.front, 0.4 if width > 30 else 0.1)
    spine = smooth([(x + lean, -20), (x, 260), (x + lean * 0.4, 560), (x, 830)], closed=False)
    pen.line(spine, width * 0.8, colour, width)
    pen.line(
        [(px - width * 0.24, py) for px, py in spine],
        width * 0.2,
        mix(mood.leaf, mood.low, 0.25),
        width * 0.3,
        0.5,
    )
    inward = 1 if x < 300 else -1
    for y in (rng.uniform(70, 160), rng.uniform(250, 350), rng.uniform(440, 540)):
        if width > 40:
            flora.bromeliad(pen, x + inward * width * 0.42, y, rng.uniform(48, 72), mood.leaf, mood.accent)
        flora.fern(
            pen,
            x + inward * width * 0.3,
            y + 70,
            90 - inward * 75,
            rng.uniform(60, 96),
            mix(mood.leaf, mood.front, 0.3),
        )


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
    for x, angle, length in ((30, 74, 130), (572, 106, 130), (96, 40, 120), (506, 140, 120)):
        flora.fern(pen, x, 830, angle, length, mood.leaf)


def coffee_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 310, 280, 185)
    cloud(pen, 505, 140, 150, lighter(mood.low, 0.6))
    ridge(pen, rng, 470, 100, mood.far, 3)
    ridge(pen, rng, 560, 80, mood.mid, 3)
    for x, base, height in ((70, 575, 290), (140, 590, 220), (520, 590, 320), (572, 600, 240)):
        flora.wax_palm(pen, x, base, height, mood.near, lighter(mood.low, 0.3))
    ridge(pen, rng, 640, 60, mood.near, 2)
    for row in range(5):
        for column in range(13):
            x, y = -10 + column * 52 + (row % 2) * 26, 660 + row * 30
            pen.dot(x, y + rng.uniform(-3, 3), 19, mix(mood.near, mood.front, 0.25 + row * 0.12))


def coffee_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x, angle in ((-10, 62), (610, 118)):
        side = 1 if angle < 90 else -1
        for step in range(6):
            px, py = x + side * step * 22, 810 - step * 26
            flora.broad_leaf(pen, px, py, angle - side * 50, 96, mood.front, 4)
            flora.broad_leaf(pen, px, py, angle + side * 46, 84, mood.leaf, 4)
            for dx, dy in ((6, 4), (-7, 9), (3, 15)):
                pen.dot(px + dx, py + dy, 8, mood.accent)
                pen.dot(px + dx - 2, py + dy - 2.5, 2.2, lighter(mood.accent, 0.5))


def cave_back(pen: Pen, mood: Mood, rng: Random) -> None:
    pen.fill(box(-2, -2, WIDTH + 2, HEIGHT + 2), mood.near)
    pen.fill("10,880 -10,480 60,170 210,20 400,10 540,150 610,460 590,880", mood.mid)
    pen.fill("50,880 34,520 96,230 230,84 384,76 500,200 560,490 545,880", mood.far)
    mouth = "95,880 84,540 140,290 250,150 366,146 456,260 512,520 500,880"
    pen.fill(mouth, Fade(mood.high, mood.low, (0, 150), (0, 700)))
    outside = pen.within(mouth)
    for radius, alpha in ((170, 0.14), (138, 0.2), (106, 1)):
        outside.dot(300, 350, radius, mood.sun, alpha)
    stars(outside, rng, mood.sun, 70)
    ridge(outside, rng, 620, 70, mix(mood.leaf, mood.low, 0.4), 4)
    for x in (130.0, 210, 300, 390, 470):
        flora.tree(outside, x, 720, rng.uniform(90, 150), mood.leaf, mood.near)
    ridge(outside, rng, 700, 40, darker(mood.leaf, 0.35), 4)
    for _ in range(12):
        x = rng.uniform(-10, 610)
        pen.fill(
            leaf(x, -12, -90, rng.uniform(60, 180), rng.uniform(26, 50)),
            darker(mood.near, rng.uniform(0, 0.4)),
        )


def cave_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x in range(-10, 640, 62):
        pen.fill(leaf(x + rng.uniform(-14, 14), 815, 90, rng.uniform(50, 150), 54), mood.front)
    pen.fill(box(-5, 775, 605, 805), mood.front)
