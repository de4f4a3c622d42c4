"""The warm places: rainforest, wetland, coast, lagoon, garden, city, night."""

from random import Random

from cards.sample.art import flora
from cards.sample.art.geometry import box, leaf
from cards.sample.art.land import cloud, peaks, ridge, sky, stars, water
from cards.sample.art.palette import Mood
from cards.sample.art.pen import WIDTH, Pen, darker, lighter, mix


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


def coast_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 300, 320, 190)
    cloud(pen, 95, 140, 160, lighter(mood.low, 0.5))
    cloud(pen, 500, 210, 150, lighter(mood.low, 0.5))
    peaks(pen, [(60, 455, 190), (190, 480, 170), (560, 490, 180)], 560, mood.far, None)
    water(pen, rng, 548, mood.mid, lighter(mood.sun, 0.5))
    ridge(pen, rng, 725, 24, mood.near, 2, darker(mood.near, 0.12))


def coast_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for angle in (-8, -38, -66, -96):
        flora.palm_frond(pen, -20, -10, angle, 210, mood.front, 24)
    flora.grass(pen, rng, 440, 620, 806, 60, mood.front)
    flora.grass(pen, rng, -20, 130, 810, 54, mood.front)


def lagoon_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 300, 300, 200)
    cloud(pen, 490, 150, 170, lighter(mood.low, 0.5), 0.8)
    ridge(pen, rng, 535, 26, mood.far, 5)
    for x, height in ((62, 150), (130, 96), (545, 170), (480, 90)):
        flora.cactus(pen, x, 545, height, mix(mood.leaf, mood.far, 0.3))
    water(pen, rng, 545, mood.mid, mood.sun)


def lagoon_front(pen: Pen, mood: Mood, rng: Random) -> None:
    ridge(pen, rng, 785, 18, mood.near, 2)
    flora.grass(pen, rng, -20, 170, 812, 80, mood.front)
    flora.grass(pen, rng, 450, 620, 812, 70, mood.front)


def garden_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 300, 300, 195)
    cloud(pen, 95, 130, 150, lighter(mood.low, 0.6))
    cloud(pen, 515, 190, 130, lighter(mood.low, 0.6))
    ridge(pen, rng, 560, 60, mood.far, 3)
    for x, height in ((50, 190), (145, 130), (470, 150), (560, 210)):
        flora.tree(pen, x, 640, height, mix(mood.mid, mood.far, 0.25), darker(mood.near, 0.2))
    ridge(pen, rng, 645, 36, mood.mid, 4)
    ridge(pen, rng, 715, 34, mood.near, 3)


def garden_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x, angle, length in ((-20, 58, 230), (70, 78, 150), (625, 120, 230), (540, 100, 150)):
        flora.broad_leaf(pen, x, 830, angle, length, mood.front if length > 200 else mood.leaf)
    for x, y, radius in (
        (150, 742, 26),
        (205, 776, 19),
        (455, 750, 25),
        (398, 782, 18),
        (108, 786, 20),
        (505, 790, 20),
    ):
        pen.line([(x, y), (x + 4, 812)], 4, mood.front)
        flora.flower(pen, x, y, radius, mood.accent, "#f9d976")


def city_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 310, 290, 190)
    cloud(pen, 90, 150, 150, lighter(mood.low, 0.5))
    peaks(pen, [(90, 400, 260), (330, 440, 230), (540, 390, 240)], 640, mood.far, None)
    left = -6.0
    while left < WIDTH:
        width, height = rng.uniform(38, 62), rng.uniform(50, 170)
        wall = mix(mood.low, "#c77b58", rng.uniform(0.35, 0.8))
        pen.fill(box(left, 650 - height, left + width, 660), wall)
        for row in range(int(height / 24)):
            for column in range(int(width / 18)):
                x, y = left + 8 + column * 17, 658 - height + row * 24
                pen.fill(box(x, y, x + 8, y + 12), darker(wall, 0.28))
        left += width + rng.uniform(2, 10)
    for x in (10, 90, 190, 290, 410, 500, 585):
        flora.tree(pen, x, 690, rng.uniform(80, 120), mood.mid, darker(mood.near, 0.2))
    ridge(pen, rng, 705, 24, mood.near, 3)


def night_back(pen: Pen, mood: Mood, rng: Random) -> None:
    sky(pen, mood, 320, 250, 150)
    stars(pen, rng, mood.sun)
    for x, y, radius in ((270, 215, 20), (350, 290, 28), (390, 200, 13)):
        pen.dot(x, y, radius, darker(mood.sun, 0.12), 0.6)
    ridge(pen, rng, 520, 60, mood.far, 4)
    for x, height in ((40, 300), (150, 190), (470, 210), (570, 320)):
        flora.tree(pen, x, 640, height, mood.mid, mood.near)
    ridge(pen, rng, 640, 40, mood.near, 4)


def night_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x, angle, length in ((-20, 50, 220), (625, 130, 220)):
        flora.broad_leaf(pen, x, 820, angle, length, mood.leaf)
    for x, angle in ((90, 62), (510, 120), (300, 90)):
        flora.monstera(pen, x, 840, angle, 140, mood.front)
    for angle in (-20, -48, -76):
        flora.broad_leaf(pen, -24, -20, angle, 170, mood.front)
