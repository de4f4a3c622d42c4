"""What a bird stands on; the feet are at the pen's origin."""

from cards.sample.art import flora
from cards.sample.art.geometry import box, curve, leaf, oval
from cards.sample.art.palette import Mood
from cards.sample.art.pen import Fade, Pen, darker, lighter, mix

WOOD = "#6b4f3f"


def air(pen: Pen, mood: Mood) -> None:
    """Nothing: the bird flies."""


def bough(pen: Pen, mood: Mood) -> None:
    """Draw a bare bough with a few leaves."""
    wood = mix(WOOD, mood.front, 0.35)
    flora.branch(pen, "-420,52 -240,26 -90,16 60,18 220,2 420,-46", 30, wood)
    flora.branch(pen, "120,14 190,50 240,96 262,150", 13, wood)
    for x, y, angle, length in (
        (244, 100, -20, 74),
        (250, 122, -130, 66),
        (262, 150, -80, 76),
        (204, 60, -28, 60),
        (-250, 24, 118, 66),
        (-226, 20, 70, 74),
        (230, 2, 62, 80),
        (262, -6, 104, 70),
    ):
        flora.broad_leaf(pen, x, y, angle, length, mood.leaf, 4)


def mossy(pen: Pen, mood: Mood) -> None:
    """Draw a mossy bough with bromeliads and ferns."""
    flora.branch(
        pen,
        "420,60 250,34 90,16 -60,16 -220,30 -420,4",
        34,
        mix("#5b4436", mood.front, 0.3),
        mix(mood.leaf, "#9fb35a", 0.45),
    )
    flora.bromeliad(pen, 190, 16, 84, mix(mood.leaf, "#7fa65a", 0.4), mood.accent)
    for x, angle, length in ((-210, 132, 96), (-190, 70, 84), (250, -64, 96), (-130, -112, 80)):
        flora.fern(pen, x, 18, angle, length, mood.leaf)


def twig(pen: Pen, mood: Mood) -> None:
    """Draw a thin flowering twig."""
    wood = mix(WOOD, mood.front, 0.3)
    flora.branch(pen, "-420,96 -220,44 -60,12 60,8 190,-10 330,-62", 18, wood)
    flora.branch(pen, "150,-4 214,24 262,70", 10, wood)
    for x, y, angle, length in (
        (-180, 34, 110, 62),
        (-150, 28, -64, 66),
        (200, -16, 78, 64),
        (262, 70, -66, 58),
        (232, 40, -118, 56),
        (330, -62, 20, 60),
    ):
        flora.broad_leaf(pen, x, y, angle, length, mood.leaf, 3)
    for x, y, radius in ((262, 68, 21), (300, -52, 24), (-216, 44, 23), (214, 20, 16)):
        flora.flower(pen, x, y, radius, mood.accent, "#f9d976")


def fruit(pen: Pen, mood: Mood) -> None:
    """Draw a bough with red berries, as at the forest edge."""
    wood = mix(WOOD, mood.front, 0.3)
    flora.branch(pen, "420,70 230,36 80,14 -60,16 -210,36 -420,30", 26, wood)
    for x, y, angle, length in (
        (150, 22, 60, 78),
        (182, 26, 112, 70),
        (-190, 30, 62, 70),
        (-226, 34, 120, 74),
        (216, 36, -70, 80),
    ):
        flora.broad_leaf(pen, x, y, angle, length, mood.leaf, 4)
    for x, y in ((120, 34), (140, 52), (114, 58), (136, 78), (-150, 46), (-130, 62), (-156, 70), (-138, 86)):
        pen.line([(x, 22), (x, y)], 3, wood)
        pen.dot(x, y, 12, mood.accent)
        pen.dot(x - 3, y - 4, 3.4, lighter(mood.accent, 0.6))


def rock(pen: Pen, mood: Mood) -> None:
    """Draw a lichened boulder."""
    stone = mix("#7f8488", mood.mid, 0.3)
    shape = "-210,300! -190,120 -130,30 -60,4 50,2 120,24 180,90 220,300!"
    pen.fill(shape, Fade(lighter(stone, 0.12), darker(stone, 0.4), (-40, 0), (60, 300)))
    inside = pen.within(shape)
    inside.fill("60,0! 30,70 70,140 40,300! 260,300! 240,60!", darker(stone, 0.35), 0.5)
    for x, y, rx in ((-90, 70, 30), (-40, 40, 18), (-130, 150, 24), (96, 120, 26), (0, 120, 14)):
        inside.fill(oval(x, y, rx, rx * 0.5, -14), mix(mood.leaf, "#d9d9a0", 0.4), 0.8)


def post(pen: Pen, mood: Mood) -> None:
    """Draw a weathered fence post with its wire."""
    wood = mix("#8a7460", mood.front, 0.15)
    for y in (70, 150):
        pen.line(f"-420,{y + 20} -160,{y + 12} 0,{y} 200,{y + 14} 420,{y - 4}", 4, darker(wood, 0.45))
    pen.fill(
        "-46,2! -34,-2 36,-4 48,4! 52,420! -52,420!",
        Fade(lighter(wood, 0.2), darker(wood, 0.3), (-50, 0), (50, 0)),
    )
    for x in (-28, -8, 14, 32):
        pen.line(f"{x},14 {x + 4},120 {x - 3},240 {x + 2},420", 3, darker(wood, 0.4), 2, 0.6)
    pen.fill(oval(1, 0, 47, 8), lighter(wood, 0.3))


def piles(pen: Pen, mood: Mood) -> None:
    """Mooring piles in the sea."""
    wood = "#7d6857"
    for x, top, half in ((-170, 110, 26), (150, 70, 28), (4, 4, 58)):
        pen.fill(
            box(x - half, top, x + half, 460),
            Fade(lighter(wood, 0.22), darker(wood, 0.4), (x - half, 0), (x + half, 0)),
        )
        pen.fill(oval(x, top, half, half * 0.2), lighter(wood, 0.38))
        for y in (top + 60, top + 76):
            pen.line(f"{x - half},{y} {x},{y + 9} {x + half},{y}", 9, "#e6d3a3")


def stump(pen: Pen, mood: Mood) -> None:
    """Draw a broken, pale stump that the potoo continues."""
    bark = "#8f8273"
    pen.fill(
        "-64,420! -58,200 -52,60 -44,10! -24,26 -6,2! 12,18 34,-6! 52,22! 60,200 66,420!",
        Fade(lighter(bark, 0.15), darker(bark, 0.45), (-60, 0), (60, 0)),
    )
    for x in (-40, -20, 4, 26, 44):
        pen.line(f"{x},40 {x + 5},150 {x - 4},280 {x},420", 4, darker(bark, 0.4), 2, 0.6)
    pen.fill(oval(14, 210, 17, 27), darker(bark, 0.5))
    pen.line("50,150 110,120 170,112", 24, darker(bark, 0.25), 12)


def trunk(pen: Pen, mood: Mood) -> None:
    """Draw a standing trunk at the right of a climbing bird."""
    bark = mix("#7d6450", mood.front, 0.2)
    shape = "130,-680! 124,-300 116,0 108,420! 330,420! 318,0 312,-300 316,-680!"
    pen.fill(shape, Fade(lighter(bark, 0.15), darker(bark, 0.4), (116, 0), (320, 0)))
    inside = pen.within(shape)
    for x in (146, 176, 210, 246, 280, 302):
        inside.line(f"{x},-680 {x - 8},-360 {x + 6},-100 {x - 6},120 {x},420", 4, darker(bark, 0.4), 3, 0.55)
    inside.fill(oval(236, -190, 30, 40), darker(bark, 0.6))
    inside.fill(oval(244, -185, 23, 33), "#1d1512")
    flora.bromeliad(pen, 296, 40, 84, mood.leaf, mood.accent)


def palm(pen: Pen, mood: Mood) -> None:
    """Draw the broken top of a wax palm's trunk, where parrots nest."""
    bark = "#d9d0bd"
    pen.fill(box(-64, 6, 64, 440), Fade(lighter(bark, 0.3), darker(bark, 0.35), (-64, 0), (64, 0)))
    for y in range(40, 440, 52):
        pen.line(f"-64,{y} 0,{y + 9} 64,{y}", 7, darker(bark, 0.35))
    pen.fill("-66,14! -48,-4 -26,8 -4,-8 20,6 44,-6 66,14! 60,30 -60,30", darker(bark, 0.25))
    pen.fill(oval(10, 136, 27, 38), "#3a2f2a")


def stalk(pen: Pen, mood: Mood) -> None:
    """Draw a flowering frailejón stalk, for a bird that clings."""
    flora.frailejon(pen.at(60, 400), 0, 0, 250, mood.leaf)
    stem = darker(mood.leaf, 0.35)
    for path in ("62,240 44,120 6,8 -60,-14", "50,140 110,40 150,-90 166,-216", "10,12 80,10 132,2"):
        pen.line(path, 15, stem, 10)
        pen.line(path, 5, lighter(mood.leaf, 0.2), 2)
    for x, y, radius in ((170, -236, 46), (132, 2, 36), (-66, -16, 34)):
        for angle in range(0, 360, 24):
            pen.fill(leaf(x, y, angle, radius, radius * 0.3), mood.accent)
        pen.dot(x, y, radius * 0.42, darker(mood.accent, 0.5))
        pen.dot(x, y, radius * 0.26, darker(mood.accent, 0.3))


def shallows(pen: Pen, mood: Mood) -> None:
    """Rings on the water around wading legs."""
    for rx, alpha in ((150, 0.25), (104, 0.35), (60, 0.5)):
        ring = curve(f"{-rx},8 0,{8 - rx * 0.2} {rx},8 0,{8 + rx * 0.2}")
        pen.line([*ring, ring[0]], 4, lighter(mood.mid, 0.6), alpha=alpha)
    pen.fill("-40,14 -14,20 10,90 20,180 -10,180 -24,90", darker(mood.mid, 0.4), 0.25)


def lilies(pen: Pen, mood: Mood) -> None:
    """Great floating leaves."""
    for x, y, radius in ((-190, -14, 70), (250, 20, 80), (-40, 10, 130), (120, 4, 124), (20, 66, 90)):
        flora.lily_pad(pen, x, y, radius, mix(mood.leaf, "#8fbf5a", 0.25))
    flora.flower(pen, 214, -4, 30, mood.accent, "#f9d976")
    flora.flower(pen, -150, 78, 24, mood.accent, "#f9d976")


def bank(pen: Pen, mood: Mood) -> None:
    """Draw a low bank with tufts and pebbles."""
    soil = mix(mood.near, "#8a6f4a", 0.3)
    shape = "-420,34! -200,6 0,-6 220,4 420,28! 420,84! 250,104 20,116 -240,100 -420,80!"
    pen.fill([(x, y + 12) for x, y in curve(shape)], darker(mood.front, 0.2), 0.45)
    pen.fill(shape, Fade(lighter(soil, 0.12), mix(soil, mood.front, 0.75), (0, 0), (0, 116)))
    for x, y, rx in ((-150, 44, 20), (130, 56, 26), (66, 34, 12), (-70, 66, 15), (196, 36, 14)):
        pen.fill(oval(x, y, rx, rx * 0.4), lighter(soil, 0.22), 0.8)
    for x, y in ((-226, 20), (-140, 70), (96, 84), (176, 20), (240, 40)):
        for lean in (56, 76, 96, 116):
            pen.fill(leaf(x, y, lean, 44, 8), mood.leaf)


def trumpets(pen: Pen, mood: Mood) -> None:
    """Angel's trumpets, hanging; a mouth opens near (230, -230)."""
    flora.branch(pen, "420,-470 330,-420 230,-400 120,-440", 13, WOOD)
    for x, y, angle, length in ((290, -424, -100, 168), (372, -420, -82, 150), (196, -412, -106, 104)):
        flora.trumpet(pen, x, y, angle, length, mood.accent)
    for x, y, angle, length in (
        (230, -404, 140, 90),
        (300, -420, 100, 96),
        (130, -436, 190, 84),
        (340, -424, 40, 90),
        (180, -420, 244, 70),
    ):
        flora.broad_leaf(pen, x, y, angle, length, mood.leaf, 4)


def bells(pen: Pen, mood: Mood) -> None:
    """Draw a spray of tubular flowers; the lowest opens near (200, -90)."""
    flora.branch(pen, "420,-190 350,-180 290,-130 262,-60 270,40 300,160 310,420", 11, "#5f6b3f")
    for x, y, angle in ((276, -106, 168), (262, -60, 186), (264, 0, 196), (276, 66, 204)):
        flora.trumpet(pen, x, y, angle, 66, mood.accent)
    for x, y, angle in ((300, -140, 60), (264, -30, 20), (280, 100, 30), (296, 160, 150)):
        flora.broad_leaf(pen, x, y, angle, 90, mood.leaf, 4)
