"""Forest birds on a branch: quetzal, motmot, jay, kingfisher."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve, leaf, oval, petal
from cards.sample.art.pen import Fade, Pen, darker

UPRIGHT = (
    "108,-318 92,-352 52,-368 12,-352 -10,-312 -28,-254 -58,-176 "
    "-82,-104 -82,-50 -54,-20 -8,-20 44,-52 82,-112 "
    "100,-182 98,-250 100,-288"
)
WING = "44,-248 12,-268 -24,-244 -56,-172 -86,-90 -112,14! -68,-2 -22,-50 26,-120 52,-184"
LINES = ("34,-130 -20,-56 -108,10", "40,-160 -20,-86 -102,-4", "30,-190 -36,-110 -98,-20")
SHOULDER = "70,-280 -40,-280 -70,-180 -62,-136 -30,-116 6,-132 46,-170"
LOW = "140,-270 96,-250 76,-200 56,-130 20,-76 -20,-40 -80,-20 0,20 160,-60"


def _feet(pen: Pen, colour: str) -> None:
    for x in (-8, 24):
        plumage.leg(pen, f"{x},-36 {x},-8", 11, colour)
        plumage.toes(pen, x, colour)


def _wing(pen: Pen, colour: str, edge: str) -> None:
    plumage.wing(pen, WING, Fade(colour, darker(colour, 0.32), (10, -260), (-100, 10)), LINES, edge)
    plumage.coverts(pen, WING, SHOULDER, (-80, -262, 70, -120), edge)


def quetzal(pen: Pen) -> None:
    """Pharomachrus auriceps: golden head, crimson belly, plumes over the tail."""
    for lean, length in ((262, 210), (268, 230), (256, 200)):
        plumage.fan(pen, (-52, -60), (lean,), (length,), 44, ("#23242c",))
    _feet(pen, "#8a7a55")
    pen.fill("88,-330! 118,-330 136,-312 132,-298! 116,-306 90,-304!", "#f2c43a")
    inside = plumage.body(
        pen,
        UPRIGHT,
        Fade("#18a373", "#0d7f6a", (60, -350), (-60, -60)),
        (
            (
                "140,-220 100,-206 70,-190 56,-140 20,-80 -40,-30 0,20 160,-40",
                Fade("#e8322f", "#b81f2b", (90, -200), (0, -40)),
            ),
            (
                "150,-400 -40,-400 -40,-320 0,-290 50,-276 120,-286",
                Fade("#c99a35", "#6fae4a", (80, -360), (0, -290)),
            ),
        ),
    )
    plumage.scales(
        inside.within("150,-400 -60,-400 -60,-200 90,-200"), (-50, -350, 120, -200), 26, "#9ff0c0", 0.4
    )
    plumage.wing(pen, WING, Fade("#26303a", "#14181f", (10, -260), (-100, 10)), LINES, "#55636e")
    for y, reach, lean in (
        (-250, 96, 236),
        (-224, 104, 242),
        (-196, 110, 246),
        (-166, 112, 250),
        (-136, 116, 252),
    ):
        x = 30 - (y + 250) * -0.5 * -1
        pen.fill(leaf(x, y - 6, lean, reach, 34, 8), Fade("#24bb82", "#0c7a63", (x, y), (x - 50, y + 90)))
    for x, y, length, lean in ((-56, -96, 330, 262), (-44, -84, 370, 267), (-66, -88, 270, 257)):
        plume = leaf(x, y, lean, length, 36, 4)
        pen.fill(plume, Fade("#1fb07a", "#0b6d66", (x, y), (x - 20, y + length)))
        pen.line([(x, y), (x - 24 * (270 - lean) / 8, y + length * 0.9)], 2.6, "#8fe6b8", 1, 0.6)
    plumage.eye(pen, 70, -322, 13, "#2a1610")


def motmot(pen: Pen) -> None:
    """Momotus aequatorialis: turquoise brow, racket tail."""
    for lean, bend in ((262, "-60,-60 -84,80 -96,210"), (256, "-66,-60 -104,70 -126,196")):
        pen.line(bend, 26, "#2c8f8a", 7)
        x, y = curve(bend, closed=False)[-1]
        pen.line([(x, y), (x - 4, y + 30)], 4, "#1c3f45")
        pen.fill(oval(x - 8, y + 56, 17, 32, 8 + (262 - lean)), "#2a9db0")
        pen.fill(oval(x - 9, y + 74, 13, 15, 8), "#17232b")
    _feet(pen, "#5b5550")
    pen.fill("80,-330! 124,-326 160,-308 170,-292! 130,-298 80,-296!", "#1d1d22")
    inside = plumage.body(
        pen,
        UPRIGHT,
        Fade("#4fa653", "#2f8a5a", (60, -350), (-60, -60)),
        (
            (LOW, Fade("#a9b84a", "#7fae52", (90, -240), (0, -40))),
            ("130,-340 90,-372 40,-376 -6,-350 -30,-310 -10,-296 24,-330 60,-342 110,-334", "#3fc4d9"),
            ("96,-346 60,-362 20,-350 6,-330 36,-340 70,-346", "#1d1d22"),
            ("130,-324 92,-336 56,-336 24,-316 -6,-290 20,-288 60,-306 100,-304 130,-306", "#1d1d22"),
            ("84,-236 100,-210 88,-186 76,-204", "#1d1d22"),
        ),
    )
    plumage.scales(inside.within(LOW), (-20, -250, 120, -20), 30, "#d9e07d", 0.35)
    inside.line("60,-300 20,-286 -4,-280", 5, "#5fd0e0", 2)
    _wing(pen, "#2f8f5c", "#8fd68a")
    plumage.eye(pen, 70, -320, 12, "#c8331f")


def green_jay(pen: Pen) -> None:
    """Cyanocorax yncas: black bib, blue crown, yellow belly."""
    for lean, colour in ((250, "#f2cf2f"), (256, "#f7dc4a"), (262, "#2f9a6a"), (258, "#2a8c6b")):
        plumage.fan(pen, (-56, -56), (lean,), (230,), 44, (colour,))
    _feet(pen, "#4a4440")
    pen.fill("84,-330! 124,-328 156,-306! 124,-298 86,-296!", "#1d1c21")
    inside = plumage.body(
        pen,
        UPRIGHT,
        Fade("#3fae6b", "#259060", (60, -350), (-60, -60)),
        (
            (LOW, Fade("#ffe04a", "#f3c22b", (90, -220), (0, -40))),
            ("150,-400 -40,-400 -30,-320 10,-276 60,-210 100,-196 140,-220", "#1b1c24"),
            ("130,-380 40,-384 -10,-352 -34,-300 -10,-280 20,-310 56,-344 110,-346", "#2f62d9"),
            ("104,-290 72,-296 48,-282 60,-262 96,-258", "#2f62d9"),
            ("56,-340 74,-352 90,-344 76,-336", "#7fb2ff"),
        ),
    )
    plumage.scales(inside.within(LOW), (-20, -200, 120, -20), 30, "#fff3a0", 0.5)
    for angle, length in ((66, 34), (84, 40), (52, 26)):
        pen.fill(leaf(92, -346, angle, length, 12), "#2f62d9")
    _wing(pen, "#2f9c6c", "#8fe0a6")
    plumage.eye(pen, 70, -318, 12.5, "#f4d23c")


def kingfisher(pen: Pen) -> None:
    """Megaceryle torquata: shaggy crest, chestnut belly, white collar."""
    plumage.fan(pen, (-56, -56), (246, 256, 251), (150, 150, 156), 46, ("#4d6f8f", "#5a7d9d", "#3f6080"))
    _feet(pen, "#6b6468")
    for angle, length in ((128, 108), (146, 104), (164, 88), (112, 88)):
        pen.fill(leaf(30, -330, angle, length, 46, 8), Fade("#5f8bb0", "#3d638a", (30, -330), (-60, -400)))
    pen.fill("80,-312! 150,-302 214,-288! 150,-284 82,-284!", "#5c5550")
    pen.fill("78,-336! 150,-326 222,-292! 150,-302 80,-304!", "#27262b")
    inside = plumage.body(
        pen,
        UPRIGHT,
        "#557fa5",
        (
            (
                "140,-250 100,-240 72,-210 60,-140 20,-76 -40,-30 0,20 160,-40",
                Fade("#c8602f", "#a34720", (90, -220), (0, -40)),
            ),
            ("150,-300 90,-300 40,-290 -30,-262 -20,-230 40,-232 80,-210 140,-226", "#fdf8ee"),
        ),
    )
    plumage.scales(
        inside.within("140,-230 60,-200 -30,-30 100,0"), (-20, -200, 120, -20), 30, "#e08a55", 0.45
    )
    inside.line("92,-340 60,-356 20,-350", 4, "#34587c", 1)
    _wing(pen, "#4f7aa2", "#a9cbe6")
    for x, y in ((-30, -60), (-56, -30), (0, -100), (-80, -10), (-10, -70)):
        pen.fill(petal(x, y, 230, 9, 7), "#fdf8ee")
    pen.fill("96,-334 108,-324 100,-314 90,-322", "#fdf8ee")
    plumage.eye(pen, 68, -316, 11.5)
