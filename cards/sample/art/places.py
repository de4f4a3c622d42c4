"""More places: coasts, gardens, coffee hills, night and cave; and the table of them all."""

from random import Random

from cards.sample.art import flora
from cards.sample.art.geometry import box, leaf
from cards.sample.art.palette import Mood
from cards.sample.art.pen import HEIGHT, WIDTH, Fade, Pen, darker, lighter, mix
from cards.sample.art.scenes import (
    Scene,
    cloud,
    cloud_forest_back,
    cloud_forest_front,
    high_back,
    high_front,
    mist,
    paramo_back,
    paramo_front,
    peaks,
    rainforest_back,
    rainforest_front,
    ridge,
    sky,
    stars,
    water,
    wetland_back,
    wetland_front,
)


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


def cave_back(pen: Pen, mood: Mood, rng: Random) -> None:
    pen.fill(box(-2, -2, WIDTH + 2, HEIGHT + 2), mood.near)
    pen.fill("90,880 60,520 110,230 230,90 380,80 500,210 545,480 520,880", mood.mid)
    pen.fill("130,880 110,540 150,290 250,150 365,140 455,260 490,500 470,880", mood.far)
    mouth = "185,880 170,560 200,350 275,225 350,220 415,330 435,540 420,880"
    pen.fill(mouth, Fade(mood.high, mood.low, (0, 220), (0, 700)))
    outside = pen.within(_outline(mouth))
    outside.dot(305, 390, 84, mood.sun, 0.18)
    outside.dot(305, 390, 62, mood.sun)
    stars(outside, rng, mood.sun, 60)
    ridge(outside, rng, 640, 60, mood.leaf, 4)
    for _ in range(12):
        x = rng.uniform(-10, 610)
        pen.fill(
            leaf(x, -12, -90, rng.uniform(60, 180), rng.uniform(26, 50)),
            darker(mood.near, rng.uniform(0, 0.4)),
        )


def _outline(text: str) -> tuple[tuple[float, float], ...]:
    from cards.sample.art.geometry import curve

    return curve(text)


def cave_front(pen: Pen, mood: Mood, rng: Random) -> None:
    for x in range(-10, 640, 62):
        pen.fill(leaf(x + rng.uniform(-14, 14), 815, 90, rng.uniform(50, 150), 54), mood.front)
    pen.fill(box(-5, 775, 605, 805), mood.front)


SCENES = {
    "páramo": Scene(paramo_back, paramo_front),
    "peaks": Scene(high_back, high_front),
    "cloud forest": Scene(cloud_forest_back, cloud_forest_front),
    "rainforest": Scene(rainforest_back, rainforest_front),
    "wetland": Scene(wetland_back, wetland_front),
    "coast": Scene(coast_back, coast_front),
    "lagoon": Scene(lagoon_back, lagoon_front),
    "garden": Scene(garden_back, garden_front),
    "city": Scene(city_back, garden_front),
    "coffee hills": Scene(coffee_back, coffee_front),
    "night": Scene(night_back, night_front),
    "cave": Scene(cave_back, cave_front),
}
__all__ = ["SCENES", "mist"]
