"""Birds of prey on a perch, and the king vulture."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve, leaf, oval, petal
from cards.sample.art.pen import Fade, Paint, Pen, darker, lighter
from cards.sample.art.plumage import Mark

BODY = (
    "104,-354 86,-384 48,-396 10,-382 -12,-344 -30,-290 -58,-220 -82,-140 -86,-70 -62,-30 "
    "-10,-24 44,-50 84,-110 104,-180 104,-250 96,-300 104,-328"
)
WING = "52,-286 22,-310 -16,-292 -50,-230 -80,-140 -106,-30 -116,52! -70,2 -20,-60 32,-140 60,-220"
TAIL = "-88,-60! -118,30 -142,140! -112,152 -80,146! -62,40 -52,-26!"
LINES = (
    "40,-150 -10,-80 -112,50",
    "46,-180 -20,-100 -112,36",
    "40,-210 -30,-120 -108,16",
    "30,-240 -40,-150 -104,-10",
)
SHOULDER = "80,-330 -30,-330 -70,-230 -66,-170 -34,-140 4,-150 36,-176 66,-210"
BREAST = "140,-330 104,-310 80,-280 62,-220 40,-140 -10,-70 -70,-30 -20,20 140,0 160,-200"


def _beak(pen: Pen, cere: str, bill: str) -> None:
    pen.fill("96,-360! 130,-358 150,-336 146,-306! 132,-326 98,-326!", bill)
    pen.fill("90,-362! 116,-364 124,-346 116,-326 94,-324!", cere)
    pen.line("98,-330 116,-328 130,-326", 3, darker(cere, 0.5), 1)


def _thigh(pen: Pen, paint: Paint, barred: str | None, legs: str) -> None:
    for x, size in ((-16, 0.8), (34, 0.86)):
        plumage.leg(pen, f"{x},-60 {x},-20", 17, legs)
        plumage.talons(pen, x, legs, size)
    for dx in (-34, 14):
        trousers = curve(
            f"{dx - 14},-110 {dx + 44},-120 {dx + 50},-70 {dx + 26},-22 {dx + 6},-26 {dx - 18},-60"
        )
        pen.fill(trousers, paint)
        if barred:
            plumage.scales(pen.within(trousers), (dx - 30, -116, dx + 60, -20), 20, barred, 0.9)


def _shoulder(pen: Pen, edge: str) -> None:
    plumage.coverts(pen, WING, SHOULDER, (-84, -306, 90, -140), edge)


def _perched(pen: Pen, paint: Paint, marks: tuple[Mark, ...], tail: str, band: str) -> Pen:
    pen.fill(TAIL, tail)
    plumage.bars(pen.within(TAIL), curve("-74,-40 -94,50 -112,150", closed=False), 6, 90, 13, band)
    return plumage.body(pen, BODY, paint, marks)


def roadside_hawk(pen: Pen) -> None:
    """Rupornis magnirostris: grey, with rufous bars below."""
    inside = _perched(pen, "#8b8f94", ((BREAST, "#f3e4cc"),), "#e2cdb0", "#5a4a44")
    plumage.scales(inside.within(BREAST), (-40, -240, 120, -20), 26, "#c2703c", 0.95)
    inside.fill("150,-320 100,-322 70,-300 40,-250 60,-228 110,-236", "#a3a5a6")
    _thigh(pen, "#f0dcbc", "#c2703c", "#f4c022")
    plumage.wing(
        pen,
        WING,
        Fade("#868b92", "#4f545e", (20, -300), (-100, 40)),
        LINES,
        "#b5b9bd",
        (("-20,-90 20,-120 -40,-60 -110,40 -120,0", "#a5603a"),),
    )
    _shoulder(pen, "#c3c7ca")
    _beak(pen, "#f6c626", "#2b2a2e")
    plumage.eye(pen, 70, -350, 14, "#ffe14a")
    pen.fill("50,-368 84,-372 106,-358! 84,-360 58,-358", "#5d6268")


def crested_eagle(pen: Pen) -> None:
    """Spizaetus isidori: black above, chestnut below, a spiked crest."""
    for angle, length in ((112, 96), (122, 124), (134, 104)):
        pen.fill(leaf(20, -370, angle, length, 24, 12), "#17161c")
    inside = _perched(
        pen, "#1f1e26", ((BREAST, Fade("#8f3d1c", "#b0552a", (60, -300), (0, -40))),), "#a9a5a0", "#1a1a20"
    )
    for x, y in (
        (70, -240),
        (84, -200),
        (60, -180),
        (76, -150),
        (50, -120),
        (30, -90),
        (88, -120),
        (58, -78),
    ):
        inside.fill(leaf(x, y, -96, 30, 6), "#2a1410")
    inside.fill("160,-330 100,-330 84,-300 90,-270 60,-260 20,-300 0,-420 160,-420", "#1f1e26")
    _thigh(pen, "#8f3d1c", None, "#f2bd2c")
    plumage.wing(pen, WING, Fade("#2b2a35", "#121219", (20, -300), (-100, 40)), LINES, "#565565")
    _shoulder(pen, "#5d5d6e")
    _beak(pen, "#e8c33a", "#35353d")
    plumage.eye(pen, 70, -350, 14, "#ffb52e")
    pen.fill("48,-368 84,-374 108,-358! 84,-361 58,-358", "#101016")


def harpy(pen: Pen) -> None:
    """Harpia harpyja from the front: double crest, black collar, tremendous feet."""
    slate, pale = "#4a4f5c", "#f1eee6"
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        for angle, length, tone in (
            (84, 84, 0.5),
            (72, 116, 0.4),
            (58, 146, 0.3),
            (44, 140, 0.15),
            (30, 112, 0.05),
            (14, 84, 0),
        ):
            half.fill(petal(6, -382, angle, length, 42, 8), darker(slate, tone))
            half.line(
                [(6, -382), petal(6, -382, angle, length * 0.9, 4, 8)[42]], 2.4, lighter(slate, 0.25), 1, 0.6
            )
    tail = "-52,-60! -58,110 -36,150 36,150 58,110 52,-60!"
    pen.fill(tail, "#3a3d48")
    plumage.bars(pen.within(tail), curve("0,-20 0,60 0,150", closed=False), 7, 140, 20, "#b9b6b0")
    chest = "0,-330 96,-322 128,-250 122,-140 76,-60 0,-40 -76,-60 -122,-140 -128,-250 -96,-322"
    plumage.body(pen, chest, Fade(pale, "#cfcac2", (0, -300), (0, -40)))
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        thigh = curve("6,-120 60,-140 78,-90 58,-34 34,-26 8,-60")
        plumage.leg(half, "36,-60 40,-20", 34, "#f0c02f")
        plumage.talons(half, 42, "#f0c02f", 1.35)
        half.fill(thigh, pale)
        plumage.scales(half.within(thigh), (0, -136, 90, -24), 20, "#55555f", 0.85)
    pen.fill("0,-350 80,-330 116,-278 96,-226 50,-206 0,-200 -50,-206 -96,-226 -116,-278 -80,-330", "#23242c")
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        plumage.wing(
            half,
            "60,-316 108,-326 142,-286 152,-196 138,-90 96,6! 84,-70 78,-160 62,-240",
            Fade(slate, darker(slate, 0.45), (110, -320), (110, 0)),
            (
                "92,-250 112,-150 106,0",
                "108,-270 128,-170 112,-20",
            ),
            "#7d8494",
        )
    head = "0,-448 46,-440 72,-404 72,-356 44,-318 0,-304 -44,-318 -72,-356 -72,-404 -46,-440"
    pen.fill(head, Fade("#b9bcc2", "#8d929c", (0, -460), (0, -310)))
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        half.fill("10,-404 44,-420 70,-404 62,-376 34,-366 12,-378", "#7c818c")
        plumage.eye(half, 38, -392, 15, "#e8d9b0")
        half.fill("6,-400 30,-416 66,-412! 44,-404 22,-396", "#4a4f5a")
    pen.fill("-22,-386! 0,-398 22,-386! 24,-352 10,-330 0,-308! -10,-330 -24,-352", "#1f2026")
    pen.fill("-20,-384! 0,-396 20,-384! 16,-364 0,-358 -16,-364", "#4d5058")


def king_vulture(pen: Pen) -> None:
    """Sarcoramphus papa: cream and black, its head painted."""
    pen.fill(TAIL, "#1c1c22")
    cream = Fade("#fff7e3", "#e6d8bd", (60, -300), (-20, -40))
    body = (
        "92,-296 70,-312 20,-322 -24,-296 -58,-230 -84,-140 "
        "-88,-70 -62,-30 -10,-24 44,-50 84,-110 106,-180 110,-250"
    )
    plumage.body(pen, body, cream)
    _thigh(pen, "#fff4de", None, "#8d8a8c")
    plumage.wing(
        pen,
        WING,
        Fade("#fff6e0", "#ecdfc4", (20, -300), (-40, -120)),
        LINES[2:],
        "#d9c8a6",
        (
            (
                "80,-110 -10,-150 -60,-170 -120,-60 -130,80 0,40",
                Fade("#2a2a33", "#121217", (0, -140), (-100, 40)),
            ),
        ),
    )
    _shoulder(pen, "#cdb992")
    ruff = "104,-300 70,-326 20,-330 -12,-304 -6,-276 30,-262 80,-262 112,-276"
    pen.fill(ruff, "#5b5d69")
    plumage.scales(pen.within(ruff), (-20, -330, 120, -260), 22, "#9a9ca6", 0.7)
    neck = "100,-296 112,-340 96,-390 40,-396 22,-350 30,-300"
    pen.fill(neck, Fade("#f6b52c", "#e2622b", (60, -290), (60, -380)))
    head = "122,-366 108,-396 74,-408 40,-396 26,-364 44,-338 84,-334 116,-340"
    pen.fill(head, "#5e3a6b")
    inside = pen.within(head)
    inside.fill("130,-420 40,-420 30,-390 70,-384 118,-380", "#e0452f")
    inside.fill(oval(52, -352, 26, 16, -20), "#f08c2a")
    pen.fill("114,-376! 142,-376 162,-358 162,-334! 146,-346 114,-346!", "#d9542b")
    pen.fill("150,-372! 162,-358 162,-334! 152,-346", "#5e1f1c")
    pen.fill("112,-384 124,-408 148,-408 150,-388 134,-384 128,-374", "#f6a91f")
    plumage.eye(pen, 86, -370, 12, "#fff6e0", "#d9332b")
    pen.line("30,-372 44,-384 64,-388", 4, lighter("#5e3a6b", 0.3), 1)
