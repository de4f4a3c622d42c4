"""Parrots and macaws."""

from collections.abc import Sequence

from cards.sample.art import plumage
from cards.sample.art.geometry import curve
from cards.sample.art.pen import Fade, Paint, Pen, darker, lighter
from cards.sample.art.plumage import Mark

BODY = (
    "104,-318 88,-356 48,-376 6,-364 -18,-324 -34,-266 -58,-190 "
    "-78,-116 -76,-54 -50,-20 -10,-22 36,-54 74,-114 "
    "92,-184 92,-244 84,-276"
)
WING = "50,-262 20,-288 -20,-268 -50,-204 -78,-122 -102,10 -108,84! -66,34 -22,-36 28,-112 58,-192"
LINES = (
    "34,-130 -20,-50 -106,80",
    "44,-160 -16,-84 -102,60",
    "40,-190 -30,-100 -100,34",
    "24,-220 -40,-130 -96,6",
)
SHOULDER = "80,-300 -40,-300 -70,-210 -66,-156 -34,-128 4,-140 36,-164 66,-196"
FACE = "120,-346 84,-356 58,-338 50,-304 66,-276 92,-270 120,-290"


def _bill(pen: Pen, upper: str, lower: str) -> None:
    pen.fill("78,-300! 106,-298 118,-282 106,-262 84,-264!", lower)
    pen.fill("76,-350! 116,-356 150,-330 152,-288 140,-264! 132,-286 116,-296 80,-294!", upper)
    pen.line("94,-340 120,-340 138,-318", 5, lighter(upper, 0.4), 1, 0.5)


def _feet(pen: Pen, colour: str) -> None:
    for x in (-12, 26):
        plumage.leg(pen, f"{x},-40 {x},-8", 16, colour)
        plumage.toes(pen, x, colour, 1.15)


def _long_tail(pen: Pen, colours: Sequence[str], length: float = 1) -> None:
    for at, (lean, colour) in enumerate(zip((268, 262, 256, 251), colours, strict=True)):
        plumage.fan(pen, (-62 + at * 3, -60), (lean,), ((330 - at * 26) * length,), 40 - at * 4, (colour,))


def _parrot(pen: Pen, paint: Paint, marks: Sequence[Mark], feet: str) -> Pen:
    _feet(pen, feet)
    return plumage.body(pen, BODY, paint, marks)


def _wing(pen: Pen, colour: str, edge: str, marks: Sequence[Mark]) -> None:
    plumage.wing(pen, WING, Fade(colour, darker(colour, 0.28), (20, -280), (-90, 60)), LINES, edge, marks)
    plumage.coverts(pen, WING, SHOULDER, (-90, -288, 90, -120), edge)


def _lores(pen: Pen, colour: str) -> None:
    for y, reach in ((-334, 40), (-322, 44), (-310, 44), (-298, 38)):
        pen.line([(92, y), (94 - reach, y + 3)], 3.2, colour, 1.4, 0.8)


def green_macaw(pen: Pen) -> None:
    """Ara ambiguus."""
    _long_tail(pen, ("#2a78b8", "#c8502c", "#d96a34", "#b8402a"))
    inside = _parrot(pen, Fade("#a5c93a", "#6fa52c", (60, -370), (-40, -30)), ((FACE, "#fbeee4"),), "#55505a")
    plumage.scales(inside, (-60, -250, 100, -30), 30, "#d7ea7d", 0.4)
    _wing(
        pen,
        "#7fb534",
        "#d3ea7c",
        (
            (
                "60,-120 -10,-140 -60,-120 -110,-60 -120,100 40,0",
                Fade("#3fa9c9", "#2170b5", (20, -130), (-100, 60)),
            ),
        ),
    )
    _bill(pen, "#2c2b30", "#202024")
    pen.fill("84,-362 104,-352 106,-330 92,-334 80,-348", "#e2392c")
    _lores(pen, "#b0413a")
    plumage.eye(pen, 66, -328, 11, "#f6e27a")


def yellow_eared(pen: Pen) -> None:
    """Ognorhynchus icterotis."""
    _long_tail(pen, ("#3d7a35", "#4f8f3a", "#b0562f", "#8a3f28"), 0.82)
    yellow = Fade("#ffdf3f", "#e9c62c", (80, -300), (0, -40))
    inside = _parrot(
        pen, "#4f9a3d", (("120,-250 60,-270 56,-180 20,-110 -30,-50 30,0 140,-100", yellow),), "#5b5054"
    )
    plumage.scales(inside, (-20, -240, 110, -30), 30, "#fff3a0", 0.5)
    _wing(pen, "#3f8f3c", "#a9d665", (("50,-110 -20,-120 -80,-60 -120,90 30,0", "#2c7040"),))
    pen.fill("88,-352 110,-330 96,-306 70,-296 44,-268 6,-276 -8,-306 24,-322 52,-340", "#ffdb35")
    pen.fill("30,-270 0,-286 -18,-312 10,-318 40,-300", "#f5c81e")
    _bill(pen, "#2d2a2e", "#201e22")
    plumage.eye(pen, 62, -322, 11, "#e88a2e", "#c9b9a8")


def parrotlet(pen: Pen) -> None:
    """Forpus conspicillatus: a blue ring around the eye."""
    for at, angle in enumerate((250, 257)):
        plumage.fan(pen, (-58 + at * 6, -58), (angle,), (132,), 40, ("#3f9a4a" if at else "#2f7f43",))
    inside = _parrot(pen, Fade("#a8d84b", "#67b548", (70, -360), (-30, -40)), (), "#c8a99a")
    plumage.scales(inside, (-60, -250, 100, -30), 28, "#dcf58d", 0.4)
    _wing(
        pen,
        "#57ad47",
        "#b6e67a",
        (
            ("70,-150 30,-130 -20,-110 -64,-130 -60,-100 -10,-80 30,-100", "#2f57d6"),
            ("20,-80 -40,-60 -120,100 20,0", "#3d8f45"),
        ),
    )
    _bill(pen.at(26, -102, 0.68), "#f0d9b0", "#d9bd8e")
    pen.fill("96,-336 84,-352 60,-348 46,-328 50,-306 72,-298 90,-312", "#2b5fe0")
    plumage.eye(pen, 70, -325, 12)


def parrotlets(pen: Pen) -> None:
    """Draw a pair that leans together: the female has no blue."""
    mate = pen.at(112, 0, 0.95, 5, True)
    for at, angle in enumerate((252, 258)):
        plumage.fan(mate, (-58 + at * 6, -58), (angle,), (130,), 40, ("#63b04d" if at else "#4f9a48",))
    inside = _parrot(mate, Fade("#c3e36a", "#86c455", (70, -360), (-30, -40)), (), "#c8a99a")
    plumage.scales(inside, (-60, -250, 100, -30), 28, "#eaf7ae", 0.4)
    _wing(mate, "#6cba4e", "#c8ec90", ())
    _bill(mate.at(26, -102, 0.68), "#f0d9b0", "#d9bd8e")
    plumage.eye(mate, 70, -325, 12, ring="#8fd06a")
    parrotlet(pen.at(-92, 0, 1, -5))


def parrot_head(pen: Pen) -> None:
    """Draw the head of a flying scarlet macaw, seen from the side; its neck lies at the origin."""
    head = curve("-40,40 -36,-10 -20,-48 20,-66 58,-50 72,-16 52,14 40,44")
    pen.fill(head, Fade("#ef3a2c", "#cf2a22", (20, -60), (0, 50)))
    pen.fill("72,-36 36,-44 18,-20 26,8 54,14 76,-4", "#fbeee4")
    pen.fill("50,4! 74,8 84,24 70,38 52,34!", "#202024")
    pen.fill("52,-44! 86,-46 112,-22 110,14 100,32! 94,10 80,2 54,4!", "#ead09c")
    pen.fill("98,-36 112,-22 110,14 100,32! 94,10 100,-10", "#b58f58")
    plumage.eye(pen, 38, -24, 9.5, "#f6e27a")
