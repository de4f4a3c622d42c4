"""Hummingbirds: two in the air, two on a perch."""

from cards.sample.art import plumage
from cards.sample.art.geometry import curve, leaf
from cards.sample.art.pen import Fade, Pen, darker, lighter

HOVER = (
    "96,-84 80,-104 48,-108 22,-90 4,-50 -18,0 -52,56 -84,98 -70,112 -34,92 12,60 48,16 70,-20 82,-48 98,-66"
)
NEAR_WING = "20,-46 -10,-108 -78,-184 -186,-236! -196,-196 -150,-130 -84,-66 -20,-8"
FAR_WING = "26,-56 34,-130 70,-206 126,-268! 134,-210 110,-130 70,-60"
PERCHED = (
    "80,-222 66,-248 34,-256 4,-240 -10,-204 -24,-150 -44,-96 "
    "-58,-44 -44,-16 -12,-10 22,-36 50,-84 62,-134 62,-176 78,-204"
)
SABRE = "34,-176 8,-186 -18,-158 -44,-96 -70,-20 -96,66! -52,14 -6,-50 34,-112"


def _blade(pen: Pen, outline: str, colour: str, root: tuple[float, float], alpha: float = 1) -> None:
    pen.fill(outline, Fade(colour, lighter(colour, 0.25), root, (root[0] - 180, root[1] - 170)), alpha)
    inside = pen.within(outline)
    points = curve(outline)
    for at in range(len(points) // 5, len(points) * 4 // 5, 6):
        inside.line([root, points[at]], 2.4, darker(colour, 0.35), 1.6, 0.55)


def _hover(pen: Pen, green: str, tail: tuple[str, ...], wings: str, bill: str) -> Pen:
    _blade(pen, FAR_WING, darker(wings, 0.2), (48, -50))
    plumage.fan(pen, (-58, 78), (244, 232, 220, 208, 226), (104, 122, 118, 96, 112), 30, tail)
    pen.line(bill, 9, "#1e1b22", 3)
    return plumage.body(pen, HOVER, Fade(lighter(green, 0.15), darker(green, 0.25), (60, -110), (-60, 100)))


def sword_billed(pen: Pen) -> None:
    """Ensifera ensifera, its bill as long as itself."""
    inside = _hover(pen, "#2f8a55", ("#2b4a3c", "#1f3a33"), "#6d5b6b", "84,-86 150,-116 220,-148 292,-176")
    inside.fill("120,-140 -20,-140 10,-60 50,-58 100,-78", "#7a5a34")
    inside.fill("70,-60 40,-30 20,20 -30,70 20,90 100,0", "#8fb58c", 0.75)
    plumage.scales(inside, (-70, -90, 100, 110), 20, "#bff0b0", 0.4)
    _blade(pen, NEAR_WING, "#7d6a78", (4, -34))
    plumage.eye(pen, 62, -82, 10)
    pen.dot(48, -84, 3.6, "#fffaf0")


def santa_marta(pen: Pen) -> None:
    """Campylopterus phainopeplus: green, with a blue throat and breast."""
    inside = _hover(pen, "#1fa06a", ("#123a6b", "#0d2c55"), "#5b6178", "84,-80 120,-88 160,-92 196,-84")
    inside.fill(
        "120,-66 92,-68 66,-58 44,-30 30,10 60,30 110,-20", Fade("#2f6bff", "#1a2f9c", (90, -70), (40, 20))
    )
    inside.fill("120,-130 60,-130 40,-104 70,-94 110,-86", "#2a62d8")
    plumage.scales(inside, (-70, -100, 100, 110), 20, "#a6ffd9", 0.42)
    _blade(pen, NEAR_WING, "#66708c", (4, -34))
    plumage.eye(pen, 62, -80, 10)
    pen.dot(48, -82, 3.4, "#fffaf0")


def _perch(pen: Pen, back: str, tail: tuple[str, ...], bill: str, width: float) -> Pen:
    plumage.fan(pen, (-40, -50), (238, 246, 254, 262, 250), (150, 160, 156, 140, 150), 30, tail)
    for x in (-2, 16):
        plumage.toes(pen, x, "#3a302e", 0.55)
    pen.line(bill, width, "#1e1b22", 2.5)
    return plumage.body(pen, PERCHED, Fade(lighter(back, 0.12), darker(back, 0.25), (50, -250), (-40, -20)))


def _sabre(pen: Pen, colour: str) -> None:
    lines = (
        "26,-120 -20,-60 -92,60",
        "24,-140 -24,-80 -88,50",
        "16,-158 -30,-100 -82,36",
        "30,-160 14,-130 -8,-112",
    )
    plumage.wing(
        pen, SABRE, Fade(colour, darker(colour, 0.35), (20, -180), (-90, 60)), lines, lighter(colour, 0.3)
    )


def violetear(pen: Pen) -> None:
    """Colibri coruscans, ears spread."""
    inside = _perch(pen, "#1f9a63", ("#1d6f74", "#15565f"), "70,-222 112,-238 156,-246 190,-240", 8)
    inside.fill("60,-120 20,-110 -20,-50 20,-20 60,-60", "#2c5fd0", 0.8)
    inside.fill("90,-214 70,-214 50,-196 44,-170 70,-160", "#14784f")
    plumage.scales(inside, (-60, -250, 80, -10), 20, "#b5ffcb", 0.42)
    _sabre(pen, "#3d5a63")
    pen.fill(
        "76,-214 52,-232 26,-230 -4,-242! 2,-228 -22,-222! -6,-212 -24,-198! 0,-198 24,-190 52,-200",
        Fade("#7a3ff0", "#3a1fa0", (70, -230), (-20, -200)),
    )
    pen.line("62,-220 36,-220 0,-216", 2.5, "#b58cff", 1)
    plumage.eye(pen, 54, -224, 9.5)


def helmetcrest(pen: Pen) -> None:
    """Oxypogon stuebelii: a buff crest and a long beard."""
    for angle, length, bend in ((84, 96, 14), (98, 118, 18), (112, 122, 20), (128, 100, 22), (144, 74, 20)):
        pen.fill(leaf(40, -236, angle, length, 26, bend), "#f6e7c4")
        pen.fill(leaf(40, -236, angle, length * 0.86, 12, bend), "#3f3029")
    inside = _perch(pen, "#8a7d4a", ("#c89a58", "#8f6a35"), "74,-218 96,-222 116,-224 130,-222", 7)
    inside.fill("80,-180 50,-176 20,-100 -30,-30 20,0 90,-60", "#d9b77c", 0.9)
    inside.fill("86,-240 70,-252 36,-250 20,-226 30,-196 60,-190 84,-206", "#4a3a2c")
    inside.fill("40,-206 16,-220 -4,-190 4,-160 36,-172", "#f2e2bd")
    plumage.scales(inside, (-60, -180, 80, -10), 20, "#fff0c8", 0.4)
    _sabre(pen, "#6b6450")
    for dx, angle, length in ((50, -104, 66), (60, -92, 86), (70, -80, 94), (78, -66, 72)):
        pen.fill(leaf(dx, -206, angle, length, 20), "#fff2d4")
    pen.fill(leaf(66, -208, -86, 82, 13), "#3f8f5f")
    plumage.eye(pen, 54, -224, 9.5)
