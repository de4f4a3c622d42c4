"""Birds of the night: spectacled owl and potoo."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve, leaf, oval
from cards.sample.art.pen import Fade, Pen, darker


def spectacled_owl(pen: Pen) -> None:
    """Pulsatrix perspicillata from the front."""
    brown, deep = "#5a3a28", "#38241c"
    pen.fill("-46,-60! -50,70 -30,96 30,96 50,70 46,-60!", Fade(brown, deep, (0, -40), (0, 90)))
    body = "0,-330 92,-318 128,-240 122,-140 80,-52 0,-20 -80,-52 -122,-140 -128,-240 -92,-318"
    inside = plumage.body(
        pen,
        body,
        Fade("#f3cf8a", "#d9a557", (0, -250), (0, -30)),
        (("140,-360 -140,-360 -140,-220 -90,-190 0,-176 90,-190 140,-220", brown),),
    )
    plumage.scales(
        inside.within("-140,-190 0,-170 140,-190 100,0 -100,0"), (-120, -180, 130, -20), 30, "#b57f3a", 0.45
    )
    for x in (-34, 34):
        plumage.talons(pen, x, "#d9c49a", 0.9)
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        wing = "84,-300 118,-290 144,-226 142,-140 118,-50 84,20! 80,-60 84,-150 74,-240"
        plumage.wing(
            half,
            wing,
            Fade(brown, deep, (100, -290), (110, 0)),
            ("96,-160 112,-90 90,0", "108,-180 124,-110 100,-20"),
            "#8d6344",
        )
        plumage.coverts(
            half, wing, "60,-320 150,-320 150,-200 120,-176 84,-190", (70, -300, 150, -180), "#a87a55"
        )
    pen.fill(
        "0,-446 80,-436 116,-380 110,-306 64,-262 0,-250 -64,-262 -110,-306 -116,-380 -80,-436",
        Fade("#4a2f22", "#33211a", (0, -446), (0, -250)),
    )
    pen.fill("0,-268 60,-280 92,-316 80,-276 40,-246 0,-238 -40,-246 -80,-276 -92,-316 -60,-280", "#fff6e0")
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        half.fill("4,-340! 14,-392 52,-424 96,-416! 84,-396 52,-386 30,-360 20,-310 6,-300!", "#fff6e0")
        half.fill(oval(48, -350, 42, 44), "#26170f")
        plumage.eye(half, 48, -352, 27, "#ffb21f")
    pen.fill(
        "-16,-334! 0,-348 16,-334! 14,-306 0,-284! -14,-306", Fade("#e9d9a9", "#b39a5f", (0, -340), (0, -284))
    )


def potoo(pen: Pen) -> None:
    """Nyctibius griseus asleep as the top of a broken stump."""
    bark, pale, ink = "#8f8273", "#c9bca6", "#4a413a"
    pen.fill(
        "-40,-60! -66,60 -92,190! -50,206 -30,80 10,-20!", Fade("#7d7164", "#5a5048", (-40, -40), (-70, 200))
    )
    plumage.bars(
        pen.within(curve("-40,-60! -66,60 -92,190! -50,206 -30,80 10,-20!")),
        curve("-20,-40 -40,60 -72,206", closed=False),
        3,
        90,
        6,
        ink,
        0.6,
    )
    body = (
        "118,-452! 96,-424 82,-380 84,-320 82,-240 66,-140 40,-50 "
        "0,-10 -36,-30 -60,-110 -62,-210 -48,-300 -24,-372 20,-412 70,-430"
    )
    inside = plumage.body(pen, body, Fade("#a99b89", "#7d7063", (80, -420), (-40, -20)))
    plumage.scales(inside, (-60, -400, 100, -10), 30, pale, 0.7)
    for x, y in (
        (50, -260),
        (62, -220),
        (40, -230),
        (66, -180),
        (48, -190),
        (30, -204),
        (56, -150),
        (38, -160),
    ):
        inside.fill(leaf(x, y, -96, 26, 10), ink)
    for x, y in (
        (20, -340),
        (0, -310),
        (50, -330),
        (10, -280),
        (60, -296),
        (30, -120),
        (44, -100),
        (20, -80),
    ):
        inside.fill(leaf(x, y, -98, 20, 5), ink, 0.8)
    wing = "10,-300 -24,-290 -56,-220 -70,-130 -70,-40 -64,60! -30,0 4,-90 22,-200"
    plumage.wing(
        pen,
        wing,
        Fade(bark, darker(bark, 0.35), (0, -290), (-60, 50)),
        ("6,-160 -30,-70 -62,48", "10,-200 -36,-100 -64,20", "0,-240 -46,-140 -66,-10"),
        pale,
    )
    plumage.coverts(
        pen, wing, "40,-320 -60,-320 -80,-180 -50,-150 -10,-160 20,-200", (-80, -300, 40, -150), pale
    )
    pen.fill("122,-456! 96,-440 84,-424 88,-408 100,-420!", "#3a312b")
    pen.line("98,-422 82,-398 58,-378", 4, "#3a312b", 2)
    pen.fill("28,-392! 44,-404 62,-404 74,-394! 60,-388 42,-386", "#e3d6bd")
    pen.line("28,-392 44,-387 60,-388 74,-394", 5, "#2d2622", 3)
    for angle, length in ((40, 22), (24, 20)):
        pen.fill(leaf(90, -414, angle, length, 4), ink)
    for x in (26, 48):
        plumage.toes(pen.at(x - 22, -6), 0, "#a58f78", 0.8)
