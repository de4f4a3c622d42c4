"""Long legs: egret, ibis, flamingo, jacana, screamer."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve, leaf, petal
from cards.sample.art.pen import Fade, Pen

BODY = "92,-262 60,-290 6,-286 -60,-250 -130,-196 -190,-140! -130,-148 -80,-142 -10,-146 54,-176 90,-220"
WING = "60,-262 10,-276 -50,-244 -120,-192 -196,-128! -130,-138 -60,-150 10,-176 50,-216"
LINES = ("30,-190 -60,-170 -190,-130", "36,-214 -50,-196 -180,-138", "20,-240 -50,-222 -150,-162")
SHOULDER = "80,-300 -20,-300 -70,-240 -56,-206 -20,-196 20,-206 60,-236"


def _legs(pen: Pen, colour: str, knee: str, spots: tuple[tuple[float, float], ...], wide: float = 9) -> None:
    for hip, foot in spots:
        pen.line([(hip, -160), ((hip + foot) / 2 - 8, -80)], wide + 2, colour, wide)
        pen.line([((hip + foot) / 2 - 8, -80), (foot, 0)], wide, colour, wide - 2)
        pen.dot((hip + foot) / 2 - 8, -80, wide * 0.72, knee)
        for angle, length in ((-14, 34), (8, 30), (192, 22)):
            pen.fill(leaf(foot, -2, angle, length, 8), colour)


def egret(pen: Pen) -> None:
    """Ardea alba in breeding plumes."""
    white, shade = "#fffdf6", "#dfe5e2"
    _legs(pen, "#2b2a2e", "#1d1c20", ((-10, -22), (24, 34)))
    for lean, length in ((214, 190), (221, 210), (229, 190), (236, 160)):
        pen.fill(leaf(-60, -220, lean, length, 20, 10), shade)
    plumage.body(pen, BODY, Fade(white, "#d6dedd", (60, -290), (0, -140)))
    neck = curve("50,-240 92,-272 112,-320 86,-366 64,-410 84,-452 124,-460", closed=False)
    pen.line(neck, 58, white, 32)
    pen.line([(x + 7, y + 4) for x, y in neck[10:]], 8, "#dfe6e6", 5)
    plumage.wing(pen, WING, Fade(white, "#e3e9e7", (20, -280), (-150, -130)), LINES, "#c3cfd0")
    plumage.coverts(pen, WING, SHOULDER, (-80, -290, 80, -196), "#c3cfd0")
    pen.fill(
        "140,-472! 190,-464 236,-448! 190,-446 140,-448!",
        Fade("#f7bc2c", "#e69320", (150, -470), (150, -444)),
    )
    pen.line("140,-459 190,-456 230,-449", 2, "#9a5f16", 1)
    pen.fill("156,-458 146,-478 118,-484 94,-472 88,-452 106,-438 140,-444", white)
    pen.fill("140,-468 156,-464 160,-456 140,-456", "#a9c65a")
    plumage.eye(pen, 130, -464, 8, "#f2d23c")


def scarlet_ibis(pen: Pen) -> None:
    """Eudocimus ruber."""
    _legs(pen, "#e58f84", "#cf6f66", ((-10, -30), (24, 40)))
    red = Fade("#f4462f", "#c9241f", (60, -290), (0, -140))
    pen.fill("-120,-190 -196,-136 -206,-118! -150,-126 -100,-150", "#1f1a1f")
    plumage.body(pen, BODY, red)
    pen.line("44,-236 84,-270 104,-312 96,-352 116,-384", 58, "#ee3d2a", 40)
    plumage.wing(
        pen,
        WING,
        Fade("#f24a33", "#c5221e", (20, -280), (-150, -130)),
        LINES,
        "#ff9a80",
        (("-140,-190 -150,-150 -130,-120 -220,-110 -210,-150", "#1f1a1f"),),
    )
    plumage.coverts(pen, WING, SHOULDER, (-80, -290, 80, -196), "#ffa58c")
    pen.line("136,-394 190,-388 232,-352 250,-296", 18, "#3a2a2c", 4)
    pen.line("136,-396 186,-390 226,-356", 5, "#6b4a48", 1)
    pen.fill("160,-398 146,-416 116,-420 92,-402 88,-374 108,-356 142,-366", "#f0422d")
    pen.fill("162,-400 148,-408 132,-400 134,-384 158,-382", "#f3a596")
    plumage.eye(pen, 130, -394, 8, "#2a1210")


def flamingo(pen: Pen) -> None:
    """Phoenicopterus ruber on one leg, looking down."""
    pink = "#f58a86"
    pen.line([(0, -170), (-4, -60)], 10, "#f2a9a0", 9)
    pen.line([(-4, -60), (2, 40)], 9, "#f2a9a0", 8)
    pen.dot(-4, -60, 9, "#e07a78")
    pen.line([(22, -160), (70, -96)], 10, "#eb9a93", 9)
    pen.line([(70, -96), (4, -84)], 8, "#eb9a93", 7)
    pen.dot(70, -96, 8, "#e07a78")
    pen.line([(4, -84), (-16, -68)], 11, "#e07a78", 5)
    plumage.body(pen, BODY, Fade("#ff9f97", "#ea6a6c", (60, -290), (0, -140)))
    neck = curve("46,-226 96,-246 122,-296 96,-350 58,-400 56,-456 96,-494 136,-484", closed=False)
    pen.line(neck, 44, pink, 24)
    pen.line([(x - 5, y - 4) for x, y in neck[8:]], 7, "#ffb5ab", 4, 0.8)
    plumage.wing(
        pen,
        WING,
        Fade("#ff8f86", "#e2504f", (20, -280), (-150, -130)),
        LINES,
        "#ffc9be",
        (("-130,-180 -140,-150 -120,-120 -220,-110 -210,-150", "#2a1f26"),),
    )
    plumage.coverts(pen, WING, SHOULDER, (-80, -290, 80, -196), "#ffd3c9")
    pen.fill("150,-492! 182,-480 194,-450 178,-416! 166,-404 162,-420! 158,-444 136,-458!", "#f7d9cc")
    pen.fill("194,-452 186,-430 166,-404! 160,-418 164,-436", "#231d22")
    pen.fill("158,-484 142,-506 112,-510 92,-494 94,-468 120,-454 146,-462", pink)
    plumage.eye(pen, 132, -486, 8, "#f6e27a")


def jacana(pen: Pen) -> None:
    """Jacana jacana on lily pads, one wing raised to show the yellow quills."""
    for hip, knee, foot in ((-6, -34, -60), (34, 66, 60)):
        pen.line([(hip, -120), (knee, -66)], 12, "#56706a", 10)
        pen.line([(knee, -66), (foot, 0)], 10, "#56706a", 9)
        for angle, length in ((-8, 96), (10, 104), (26, 80), (186, 84)):
            pen.line(
                [
                    (foot, 0),
                    (foot + length * (1 if angle < 90 else -1), -2 + angle * (0.5 if angle < 90 else 0)),
                ],
                7,
                "#56706a",
                2,
            )
    for at, angle in enumerate((96, 106, 116, 126, 137, 148, 160)):
        feather = petal(-30, -236, angle, 190 - at * 9, 40)
        pen.fill(feather, Fade("#f7e36b", "#e3b72e", (-30, -236), (-120, -400)))
        pen.line([(-30, -236), petal(-30, -236, angle, 180 - at * 9, 40)[42]], 2, "#b98a1f", 1, 0.7)
    pen.fill("40,-250 20,-290 -20,-320 -66,-300 -70,-250 -20,-220", "#8a4222")
    plumage.scales(
        pen.within("40,-250 20,-290 -20,-320 -66,-300 -70,-250 -20,-220"),
        (-80, -320, 60, -220),
        24,
        "#c07a4a",
        0.7,
    )
    body = "104,-250 60,-282 0,-272 -70,-230 -140,-190 -150,-176! -100,-140 -20,-108 50,-124 96,-170 112,-214"
    plumage.body(pen, body, Fade("#1d1a1f", "#121015", (60, -280), (0, -110)))
    pen.line("70,-220 104,-262 120,-310", 66, "#1b181d", 50)
    wing = "50,-240 0,-254 -60,-226 -130,-184 -160,-160! -90,-146 -20,-150 40,-184"
    plumage.wing(
        pen,
        wing,
        Fade("#a8532a", "#6f2f17", (20, -250), (-120, -160)),
        ("20,-180 -60,-170 -150,-164", "30,-204 -50,-194 -140,-172"),
        "#dd9a62",
    )
    plumage.coverts(
        pen, wing, "70,-280 -40,-280 -80,-220 -40,-190 20,-190 60,-216", (-90, -260, 70, -180), "#e0a36c"
    )
    pen.fill("130,-328! 170,-322 204,-304! 168,-300 132,-302!", "#f4c93a")
    pen.fill("156,-328 140,-352 108,-352 92,-328 98,-300 124,-290 150,-300", "#1b181d")
    pen.fill("150,-346 128,-366 120,-344 132,-324 150,-322", "#d9333a")
    pen.fill("144,-306 132,-296 140,-274 154,-290", "#d9333a")
    plumage.eye(pen, 120, -330, 8.5, "#5e3219")


def screamer(pen: Pen) -> None:
    """Chauna chavaria: bare red face, white cheeks, black collar, crest."""
    for x in (-14, 30):
        pen.line([(x, -120), (x + 2, -4)], 20, "#d98a80", 16)
        for angle, length in ((-12, 46), (8, 40), (190, 30)):
            pen.fill(leaf(x + 2, -4, angle, length, 14), "#d98a80")
    body = "98,-262 56,-300 -10,-294 -80,-246 -140,-190 -176,-130! -120,-104 -40,-84 40,-100 92,-150 112,-210"
    inside = plumage.body(pen, body, Fade("#7e858d", "#5a616b", (60, -300), (0, -90)))
    plumage.scales(inside, (0, -260, 120, -90), 34, "#a6adb4", 0.4)
    pen.fill(
        "10,-270 30,-330 50,-390 110,-390 112,-330 110,-250 60,-230",
        Fade("#fbf8ef", "#d5d5d0", (110, -380), (20, -300)),
    )
    pen.fill("4,-268 24,-318 112,-322 116,-252 60,-232", "#1d1d23")
    wing = "50,-270 -10,-280 -70,-238 -140,-176 -196,-104! -120,-106 -40,-128 30,-180"
    plumage.wing(
        pen,
        wing,
        Fade("#575d68", "#2f333c", (20, -280), (-150, -110)),
        ("20,-170 -70,-140 -188,-108", "30,-200 -60,-170 -176,-120", "20,-226 -60,-200 -160,-134"),
        "#9299a4",
    )
    plumage.coverts(
        pen, wing, "70,-300 -30,-300 -84,-230 -60,-186 -10,-186 50,-220", (-90, -290, 70, -180), "#a9b0ba"
    )
    for angle, length in ((148, 66), (162, 74), (176, 60)):
        pen.fill(leaf(56, -420, angle, length, 17, 12), "#6d737c")
    pen.fill("120,-408 104,-436 72,-440 48,-420 44,-386 70,-364 112,-372", "#8a9099")
    pen.fill("112,-388 80,-392 56,-374 52,-350 84,-338 116,-350", "#fbf8ef")
    pen.fill("126,-420 104,-428 88,-412 92,-392 118,-388 130,-396", "#d9483c")
    pen.fill("120,-418! 150,-412 164,-392 156,-374! 146,-390 120,-392!", "#3a3a42")
    plumage.eye(pen, 102, -408, 9, "#f0a83a")
