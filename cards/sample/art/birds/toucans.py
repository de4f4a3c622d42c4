"""Toucans."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve
from cards.sample.art.pen import Fade, Paint, Pen, darker
from cards.sample.art.plumage import Mark

BODY = (
    "104,-300 90,-340 48,-356 6,-342 -20,-300 -38,-240 -70,-170 "
    "-96,-110 -98,-56 -66,-26 -10,-24 44,-54 84,-110 "
    "104,-176 108,-240"
)
WING = "40,-222 6,-240 -34,-214 -72,-150 -106,-70 -140,10! -90,-4 -36,-44 18,-104 48,-164"
LINES = ("30,-110 -30,-50 -136,8", "36,-136 -30,-74 -130,0", "26,-164 -40,-96 -122,-14")
SHOULDER = "60,-250 -40,-250 -90,-150 -76,-116 -40,-104 4,-120 44,-150"
TAIL = "-88,-90! -120,-20 -156,118! -120,134 -92,126! -70,40 -50,-30!"
UPPER = "84,-332! 130,-346 190,-338 240,-306 262,-262 258,-236! 240,-262 196,-280 140,-286 86,-284!"
LOWER = "88,-288! 140,-290 196,-284 240,-264 256,-240! 212,-252 150,-258 90,-262!"


def _build(pen: Pen, paint: Paint, marks: tuple[Mark, ...], tail: str, feet: str) -> Pen:
    pen.fill(TAIL, tail)
    for path in ("-80,-60 -124,130", "-74,-40 -104,132"):
        pen.within(TAIL).line(path, 3, "#3a3a44")
    for x in (-10, 26):
        plumage.leg(pen, f"{x},-40 {x},-8", 14, feet)
        plumage.toes(pen, x, feet, 1.1)
    return plumage.body(pen, BODY, paint, marks)


def _wing(pen: Pen, colour: str, edge: str) -> None:
    plumage.wing(pen, WING, Fade(colour, darker(colour, 0.35), (10, -230), (-110, 0)), LINES, edge)
    plumage.coverts(pen, WING, SHOULDER, (-100, -240, 60, -110), edge)


def white_throated(pen: Pen) -> None:
    """Ramphastos tucanus: black, with a white bib and a bill with a yellow ridge."""
    bib = "150,-330 100,-314 66,-296 42,-262 40,-220 64,-186 100,-180 140,-190"
    inside = _build(pen, "#1c1c24", ((bib, "#fffaf0"),), "#15151b", "#7ba0b8")
    inside.line("36,-216 60,-186 100,-174 130,-182", 9, "#d8372c")
    inside.fill("-60,-80 -110,-90 -110,-20 -50,-40", "#f5c93a")
    inside.fill("10,-40 -30,-50 -60,-10 10,0", "#d8372c")
    _wing(pen, "#22222b", "#4c4c5c")
    pen.fill(LOWER, Fade("#54281f", "#2a1715", (90, -270), (250, -250)))
    pen.fill(UPPER, Fade("#5e2318", "#241316", (110, -320), (250, -260)))
    bill = pen.within(UPPER)
    bill.line("84,-336 130,-344 190,-336 240,-304 262,-262 260,-240", 26, "#f3cf45", 14)
    bill.fill("70,-350 96,-346 100,-280 70,-270", "#4f9fd0")
    pen.within(LOWER).fill("70,-290 100,-290 102,-250 70,-250", "#4f9fd0")
    pen.line("100,-285 150,-284 200,-276 240,-256", 2.6, "#120b0c", 1)
    plumage.eye(pen, 60, -310, 12, "#3a2116", "#6fc0e0")


def mountain_toucan(pen: Pen) -> None:
    """Andigena hypoglauca: slate blue below, a bill in four colours."""
    blue = Fade("#8fb3cf", "#6f97bb", (80, -290), (0, -40))
    head = "140,-400 -60,-380 -60,-280 -10,-260 40,-250 80,-262 130,-280"
    inside = _build(
        pen,
        blue,
        ((head, "#1b1d26"), ("-10,-290 -36,-260 -20,-236 20,-250 30,-270", "#a9c6da")),
        "#232a33",
        "#5f7f86",
    )
    plumage.scales(
        inside.within("140,-250 40,-250 -20,-60 120,0"), (-40, -240, 120, -30), 32, "#c3d9ea", 0.45
    )
    inside.fill("20,-50 -30,-60 -70,-10 10,0", "#b5432c")
    inside.fill("-60,-110 -100,-110 -120,-50 -80,-50", "#f0d24a")
    _wing(pen, "#6b6a3c", "#b3ad63")
    pen.within(TAIL).fill("-170,140 -60,140 -70,112 -150,96", "#8a4a30")
    pen.fill(LOWER, "#1a181c")
    pen.fill(UPPER, Fade("#e2452c", "#c5301f", (110, -330), (230, -270)))
    upper = pen.within(UPPER)
    upper.fill("120,-292 180,-306 236,-286 270,-220 200,-250 130,-276", "#17161b")
    for outline in (UPPER, LOWER):
        base = pen.within(curve(outline))
        base.fill("70,-360 112,-360 116,-250 70,-250", "#f4cf3f")
        base.fill("112,-360 124,-360 126,-250 116,-250", "#17161b")
    pen.line("90,-285 150,-284 200,-276 240,-256", 2.6, "#0d0b0c", 1)
    plumage.eye(pen, 60, -312, 12, "#d9a23a", "#4fb0c9")
