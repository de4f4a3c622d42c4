"""What birds share: eyes, feet, feather fans, folded wings, scales and soft shade."""

from collections.abc import Sequence

from cards.sample.art.geometry import Outline, Point, curve, leaf, petal, toward
from cards.sample.art.pen import Paint, Pen, darker

Mark = tuple[str, Paint]


def eye(pen: Pen, x: float, y: float, radius: float, iris: str = "#2a1a12", ring: str | None = None) -> None:
    """Draw an eye with its glint; a ring of bare skin when a colour is given."""
    if ring:
        pen.dot(x, y, radius * 1.5, ring)
    pen.dot(x, y, radius, iris)
    pen.dot(x, y, radius * 0.62, "#120d0c")
    pen.dot(x + radius * 0.28, y - radius * 0.34, radius * 0.24, "#ffffff")


def toes(pen: Pen, x: float, colour: str, size: float = 1, claw: str = "#2b2320") -> None:
    """Draw a foot that grips a perch at the height of the origin."""
    foot = pen.at(x, 0, size)
    for dx in (-10, 2, 14):
        foot.line(curve(f"{dx * 0.4},-16 {dx},-6 {dx + 1},8", closed=False), 9, colour, 6)
        foot.fill(leaf(dx + 1, 6, -86, 10, 5), claw)


def leg(pen: Pen, path: str, width: float, colour: str) -> None:
    """Draw a leg from the belly to the perch."""
    pen.line(path, width, colour, width * 0.8)


def talons(pen: Pen, x: float, colour: str, size: float = 1) -> None:
    """Draw a raptor's foot."""
    foot = pen.at(x, 0, size)
    for dx in (-22, 0, 22):
        foot.line(curve(f"{dx * 0.3},-26 {dx * 0.8},-12 {dx},6", closed=False), 17, colour, 12)
        foot.fill(leaf(dx, 2, -84, 26, 11, 10), "#1d1a1c")


def fan(
    pen: Pen,
    root: Point,
    angles: Sequence[float],
    lengths: Sequence[float],
    width: float,
    colours: Sequence[str],
    tip: str | None = None,
) -> None:
    """Feathers that spread from one point; the later ones lie on top."""
    for at, angle in enumerate(angles):
        length, colour = lengths[at % len(lengths)], colours[at % len(colours)]
        feather = petal(*root, angle, length, width)
        pen.fill(feather, colour)
        if tip:
            pen.within(feather).dot(*toward(*root, angle, length), length * 0.3, tip)
        pen.line([root, toward(*root, angle, length * 0.9)], width * 0.07, darker(colour, 0.3), width * 0.03)


def scales(
    pen: Pen, area: tuple[float, float, float, float], size: float, colour: str, alpha: float = 0.5
) -> None:
    """Draw rows of small crescent feathers over an area; clip the pen first."""
    left, top, right, bottom = area
    row, y = 0, top
    while y < bottom:
        x = left + (row % 2) * size / 2
        while x < right:
            pen.line(
                curve(f"{x - size * 0.42},{y} {x},{y + size * 0.45} {x + size * 0.42},{y}", closed=False),
                size * 0.12,
                colour,
                alpha=alpha,
            )
            x += size
        y, row = y + size * 0.62, row + 1


def bars(
    pen: Pen, path: Outline, step: int, length: float, width: float, colour: str, alpha: float = 1
) -> None:
    """Bars across a path; clip the pen first."""
    for at in range(0, len(path) - 1, step):
        (x, y), (nx, ny) = path[at], path[at + 1]
        dx, dy = nx - x, ny - y
        scale = length / 2 / ((dx * dx + dy * dy) ** 0.5 or 1)
        pen.line(
            [(x - dy * scale, y + dx * scale), (x + dy * scale, y - dx * scale)], width, colour, alpha=alpha
        )


def body(pen: Pen, outline: str, paint: Paint, marks: Sequence[Mark] = ()) -> Pen:
    """Draw a body with its marks and its shaded edge; return the pen clipped to it."""
    pen.fill(outline, paint)
    inside = pen.within(outline)
    for mark, colour in marks:
        inside.fill(mark, colour)
    round_shade(pen, outline)
    return inside


def round_shade(pen: Pen, outline: str, shift: Point = (-14, -16), alpha: float = 0.14) -> None:
    """Darken the edge of a body that the light does not reach."""
    points = curve(outline)
    moved = [(x + shift[0], y + shift[1]) for x, y in points]
    pen.within(outline).fill([*points, points[0], moved[0], *moved[::-1]], "#0f1730", alpha)


def wing(
    pen: Pen, outline: str, paint: Paint, lines: Sequence[str], edge: str, marks: Sequence[Mark] = ()
) -> None:
    """Draw a folded wing: its colour, its marks, then the edges of its feathers."""
    shadow = [(x + 5, y + 9) for x, y in curve(outline)]
    pen.fill(shadow, "#0f1730", 0.2)
    pen.fill(outline, paint)
    inside = pen.within(outline)
    for mark, colour in marks:
        inside.fill(mark, colour)
    for path in lines:
        inside.line(path, 5, edge, 1.5)


def coverts(pen: Pen, outline: str, area: str, span: tuple[float, float, float, float], edge: str) -> None:
    """Draw the small feathers of the shoulder: a lit patch with rows of scales."""
    shoulder = pen.within(outline).within(area)
    shoulder.fill(area, edge, 0.16)
    scales(shoulder, span, 30, edge, 0.6)
