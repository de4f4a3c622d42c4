"""Plants: each grows from a point of its pen's space."""

from random import Random

from cards.sample.art.geometry import box, curve, leaf, oval, petal, ribbon, smooth, toward
from cards.sample.art.pen import Fade, Pen, darker, lighter


def frailejon(pen: Pen, x: float, base: float, height: float, colour: str, bloom: str | None = None) -> None:
    """Draw the páramo's grey-leaved giant: a trunk in its coat of dead leaves under a rosette."""
    size = height / 200
    trunk, shade = darker(colour, 0.55), darker(colour, 0.3)
    stem = pen.at(x, base, size)
    stem.fill("-24,0! -20,-90 -26,-140 26,-140 20,-90 24,0!", trunk)
    for row in range(6):
        for side in (-1, 1):
            stem.fill(
                leaf(side * 12, -135 + row * 22, -90 + side * 12, 40, 18), darker(colour, 0.45 + row * 0.03)
            )
    for angle in range(-10, 191, 20):
        stem.fill(leaf(0, -135, angle, 86, 20, 0), shade)
    for angle in range(15, 166, 15):
        stem.fill(leaf(0, -138, angle, 80 if angle % 2 else 70, 17), colour)
        stem.line([(0, -138), toward(0, -138, angle, 60)], 1.6, lighter(colour, 0.4), 0.4)
    if bloom:
        for lean, tall in ((62, 118), (92, 138), (120, 116)):
            top = toward(0, -138, lean, tall)
            stem.line([(0, -138), top], 4, lighter(colour, 0.15), 3)
            for angle in range(0, 360, 36):
                stem.fill(petal(*top, angle, 17, 8), bloom)
            stem.dot(*top, 7, darker(bloom, 0.45))


def wax_palm(pen: Pen, x: float, base: float, height: float, colour: str, trunk: str) -> None:
    """Quindío's wax palm: a pale ringed pole with a small round crown."""
    width = height / 34
    top = base - height
    pen.fill(box(x - width / 2, top, x + width / 2, base), trunk)
    for ring in range(1, 18):
        y = top + height * ring / 18
        pen.fill(box(x - width / 2, y, x + width / 2, y + width * 0.18), darker(trunk, 0.3))
    for angle in (-62, -38, -14, 10, 34, 60, 90, 120, 146, 170, 194, 218, 242):
        bend = (90 - angle) * -0.32
        pen.fill(leaf(x, top, angle, height * 0.27, height * 0.052, bend), colour)


def palm_frond(
    pen: Pen, x: float, y: float, angle: float, length: float, colour: str, droop: float = 40
) -> None:
    """Draw a feathered frond that arches from a point."""
    side = 1 if angle < 90 else -1
    spine = smooth(
        [(x, y), toward(x, y, angle, length * 0.5), toward(x, y, angle - side * droop * 0.6, length)],
        closed=False,
    )
    for at in range(3, len(spine) - 1):
        px, py = spine[at]
        share = at / len(spine)
        reach = length * (0.36 - 0.24 * abs(share - 0.4))
        heading = angle - side * droop * 1.5 * share
        for turn in (58, -58):
            pen.fill(
                leaf(px, py, heading + turn * (1 - share * 0.45), reach, reach * 0.2, -side * 14), colour
            )
    pen.line(spine, length / 45, darker(colour, 0.3), 1)


def broad_leaf(pen: Pen, x: float, y: float, angle: float, length: float, colour: str, ribs: int = 6) -> None:
    """Draw a banana or heliconia leaf with its ribs."""
    width = length * 0.36
    blade = leaf(x, y, angle, length, width, 10)
    pen.fill(blade, Fade(darker(colour, 0.28), colour, (x, y), toward(x, y, angle, length)))
    inside = pen.within(blade)
    tip = toward(x, y, angle + 10, length)
    inside.line(
        smooth([(x, y), toward(x, y, angle + 3, length * 0.5), tip], closed=False),
        4,
        lighter(colour, 0.28),
        1,
    )
    for rib in range(1, ribs + 1):
        root = toward(x, y, angle + 3 + 7 * rib / ribs, length * rib / (ribs + 1.2))
        for turn in (46, -46):
            inside.line([root, toward(*root, angle + turn, width)], 2, lighter(colour, 0.2), 1, 0.6)


def monstera(pen: Pen, x: float, y: float, angle: float, size: float, colour: str) -> None:
    """Draw a split leaf, drawn as lobes around its rib."""
    for share, reach in ((0.05, 0.5), (0.22, 0.62), (0.4, 0.6), (0.58, 0.5), (0.76, 0.36)):
        root = toward(x, y, angle, size * share)
        for turn in (66, -66):
            pen.fill(
                petal(*root, angle + turn * (1 - share * 0.35), size * reach, size * 0.21, -turn * 0.35),
                colour,
            )
    pen.fill(leaf(*toward(x, y, angle, size * 0.1), angle, size * 0.95, size * 0.3), colour)
    pen.line([(x, y), toward(x, y, angle, size * 0.9)], size / 30, lighter(colour, 0.25), 1)


def fern(pen: Pen, x: float, y: float, angle: float, length: float, colour: str) -> None:
    """Draw a fern that curls over at its tip."""
    side = 1 if angle < 90 else -1
    spine = smooth(
        [(x, y), toward(x, y, angle, length * 0.55), toward(x, y, angle - side * 22, length)], closed=False
    )
    for at in range(2, len(spine)):
        share = at / len(spine)
        reach = length * 0.24 * (1 - share * 0.85)
        for turn in (70, -70):
            heading = angle - side * 30 * share + turn
            pen.fill(leaf(*spine[at], heading, reach, reach * 0.34, -turn * 0.2), colour)
    pen.line(spine, 3, darker(colour, 0.25), 1)


def reeds(
    pen: Pen, rng: Random, x: float, base: float, height: float, colour: str, cattail: str | None = None
) -> None:
    """Draw a clump of reeds; with cattails when their colour is given."""
    for blade in range(7):
        angle = 90 + (blade - 3) * 7 + rng.uniform(-3, 3)
        length = height * rng.uniform(0.65, 1)
        pen.fill(leaf(x + (blade - 3) * 7, base, angle, length, 11, (blade - 3) * 4), colour)
    if cattail:
        for lean, share in ((84, 1.02), (96, 0.86)):
            top = toward(x, base, lean, height * share)
            pen.line([(x, base), top], 3, colour, 2)
            below = toward(*top, lean + 180, height * 0.2)
            pen.line([below, top], 11, cattail)
            pen.dot(*top, 5.5, cattail)
            pen.dot(*below, 5.5, cattail)


def cactus(pen: Pen, x: float, base: float, height: float, colour: str) -> None:
    """Draw a candelabra cactus of La Guajira."""
    width = height * 0.13
    for path, wide in (
        ([(x, base), (x, base - height)], width),
        (
            [
                (x, base - height * 0.35),
                (x + height * 0.22, base - height * 0.42),
                (x + height * 0.23, base - height * 0.8),
            ],
            width * 0.8,
        ),
        (
            [
                (x, base - height * 0.25),
                (x - height * 0.2, base - height * 0.33),
                (x - height * 0.21, base - height * 0.66),
            ],
            width * 0.8,
        ),
    ):
        bent = smooth(path, closed=False)
        pen.fill(ribbon(bent, wide, wide), colour)
        pen.dot(*bent[-1], wide / 2, colour)
        pen.line(bent, wide * 0.14, lighter(colour, 0.2), alpha=0.6)


def lily_pad(pen: Pen, x: float, y: float, radius: float, colour: str) -> None:
    """Draw a floating leaf, seen at a slant."""
    pen.fill(oval(x, y + radius * 0.07, radius, radius * 0.26), darker(colour, 0.45))
    pen.fill(oval(x, y, radius, radius * 0.26), colour)
    for angle in range(10, 360, 35):
        end = (toward(0, 0, angle, radius * 0.85)[0] + x, toward(0, 0, angle, radius * 0.22)[1] + y)
        pen.line([(x, y), end], 1.6, lighter(colour, 0.3), 0.6, 0.7)


def flower(pen: Pen, x: float, y: float, radius: float, colour: str, heart: str) -> None:
    """Draw a round flower."""
    for angle in range(0, 360, 60):
        pen.fill(petal(x, y, angle + 12, radius, radius * 0.7), colour)
    pen.dot(x, y, radius * 0.28, heart)


def trumpet(pen: Pen, x: float, y: float, angle: float, length: float, colour: str) -> None:
    """Draw a hanging tubular flower of the high Andes; its mouth lies at the far end."""
    bell = pen.at(x, y, length / 100, -angle)
    bell.fill(
        "0,-5! 50,-8 78,-13 108,-30! 100,-8 106,0! 100,8 108,30! 78,13 50,8 0,5!",
        Fade(lighter(colour, 0.1), darker(colour, 0.1), (0, -20), (0, 20)),
    )
    bell.line("12,0 60,-1 98,-2", 2, darker(colour, 0.25), 1)
    bell.fill("-12,0! -2,-9 22,-7! 14,0 22,7! -2,9", "#5f7d3a")


def heliconia(pen: Pen, x: float, y: float, size: float, colour: str, tip: str, flip: bool = False) -> None:
    """Draw a hanging heliconia: red bracts edged in yellow on a zigzag stem."""
    stem = pen.at(x, y, size / 100, 0, flip)
    for row in range(6):
        side = 1 if row % 2 else -1
        root = (side * 2, row * 26)
        stem.fill(leaf(*root, 90 - side * 60, 46 - row * 3, 22, side * 24), tip)
        stem.fill(leaf(*root, 90 - side * 64, 38 - row * 3, 17, side * 22), colour)
    stem.line("0,-30 2,20 -2,60 1,100 0,150", 5, colour, 3)


def bromeliad(pen: Pen, x: float, y: float, size: float, colour: str, heart: str) -> None:
    """Draw a tank plant that sits on a branch."""
    for angle in (8, 30, 52, 74, 106, 128, 150, 172):
        pen.fill(leaf(x, y, angle, size, size * 0.2, (90 - angle) * -0.25), darker(colour, 0.18))
    for angle in (45, 68, 90, 112, 135):
        pen.fill(leaf(x, y, angle, size * 0.7, size * 0.2), colour)
    for angle in (72, 90, 108):
        pen.fill(leaf(x, y, angle, size * 0.62, size * 0.12), heart)


def tree(pen: Pen, x: float, base: float, height: float, colour: str, trunk: str) -> None:
    """Draw a round garden tree in three tones."""
    pen.line([(x, base), (x, base - height * 0.6)], height * 0.07, trunk, height * 0.04)
    for dx, dy, radius, tone in (
        (-0.2, 0.62, 0.24, 0.12),
        (0.2, 0.6, 0.25, 0.2),
        (0, 0.8, 0.28, 0),
        (0.02, 0.55, 0.22, 0.06),
    ):
        pen.dot(x + dx * height, base - dy * height, radius * height, darker(colour, tone))


def grass(pen: Pen, rng: Random, left: float, right: float, base: float, height: float, colour: str) -> None:
    """Tussocks along a line."""
    x = left
    while x < right:
        for lean in (58, 76, 92, 108, 124):
            pen.fill(leaf(x, base, lean + rng.uniform(-6, 6), height * rng.uniform(0.6, 1), 7), colour)
        x += rng.uniform(20, 44)


def branch(pen: Pen, path: str, width: float, colour: str, moss: str | None = None) -> None:
    """Draw a bough with a lit upper edge, mossy when a colour is given."""
    spine = curve(path, closed=False)
    pen.line(spine, width, colour, width * 0.5)
    pen.line(
        [(x, y - width * 0.22) for x, y in spine], width * 0.28, moss or lighter(colour, 0.22), width * 0.12
    )
    if moss:
        for at in range(4, len(spine) - 2, 9):
            x, y = spine[at]
            pen.fill(leaf(x, y + width * 0.1, -92, 14 + (at * 7) % 20, 9), moss)
