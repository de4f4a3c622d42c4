"""Songbirds: one build, dressed by data."""

from collections.abc import Callable
from dataclasses import dataclass

from cards.sample.art import plumage
from cards.sample.art.pen import Fade, Paint, Pen, darker
from cards.sample.art.plumage import Mark

BODY = (
    "122,-268 104,-296 70,-308 34,-296 8,-262 -28,-212 -66,-158 -96,-92 -104,-48 "
    "-62,-28 -6,-30 52,-62 92,-120 108,-178 110,-222 120,-250"
)
TAIL = "-66,-112! -98,-62 -188,62! -176,92 -150,98! -96,20 -52,-32!"
WING = "66,-196 40,-226 0,-222 -48,-172 -92,-106 -146,-2! -96,-22 -38,-50 20,-92 58,-146"
WING_LINES = (
    "52,-150 10,-100 -60,-50 -150,-2",
    "44,-170 0,-120 -64,-66 -150,-8",
    "30,-188 -10,-140 -70,-84 -146,-12",
)
CONE, FINE, HOOK = (
    ("96,-288! 132,-280 160,-257! 134,-255 96,-260!", "96,-261! 132,-256 157,-256! 132,-245 96,-238!"),
    ("96,-278! 140,-270 178,-255! 140,-257 96,-262!", "96,-262! 140,-257 172,-254! 136,-249 96,-246!"),
    (
        "96,-284! 150,-278 188,-262 190,-246! 174,-256 96,-258!",
        "96,-259! 150,-257 174,-255! 146,-244 96,-240!",
    ),
)
SHOULDER = "90,-250 -20,-250 -64,-180 -58,-132 -30,-112 4,-118 34,-138 62,-160"
HEAD = "200,-400 -60,-400 -40,-260 0,-226 50,-206 100,-206 140,-216"
CROWN = "-30,-340 140,-340 126,-280 92,-284 56,-276 24,-252 -20,-226 -60,-260"
MASK = "134,-272 104,-284 66,-280 30,-262 2,-232 26,-222 66,-240 104,-248 134,-250"
THROAT = "150,-256 116,-250 92,-232 74,-206 84,-182 120,-176 150,-190"
BELLY = "140,-246 112,-226 88,-206 66,-170 50,-120 10,-80 -40,-56 -120,-30 -60,30 140,30 180,-150"
RUMP = "-50,-200 -10,-160 -40,-90 -100,-20 -150,-60 -110,-140"


@dataclass(frozen=True)
class Songbird:
    """The colours of one species."""

    back: Paint
    wing: str
    edge: str
    tail: str
    bill: tuple[str, str]
    legs: str = "#4a3b35"
    beak: tuple[str, str] = CONE
    marks: tuple[Mark, ...] = ()
    wing_marks: tuple[Mark, ...] = ()
    crest: tuple[Mark, ...] = ()
    over: tuple[Mark, ...] = ()
    iris: str = "#2a1a12"
    ring: str | None = None
    detail: Callable[[Pen], None] | None = None

    def __call__(self, pen: Pen) -> None:
        """Draw it."""
        self._tail(pen)
        for x, path in ((-14, "-20,-50 -12,-24 -14,-4"), (22, "18,-56 22,-28 22,-4")):
            plumage.leg(pen, path, 9, self.legs)
            plumage.toes(pen, x, self.legs)
        for outline, paint in self.crest:
            pen.fill(outline, paint)
        pen.fill(self.beak[1], self.bill[1])
        pen.fill(self.beak[0], self.bill[0])
        inside = plumage.body(pen, BODY, self.back, self.marks)
        if self.detail:
            self.detail(inside)
        plumage.wing(pen, WING, self._wing_paint(), WING_LINES, self.edge, self.wing_marks)
        plumage.coverts(pen, WING, SHOULDER, (-70, -222, 80, -116), self.edge)
        for outline, paint in self.over:
            pen.fill(outline, paint)
        plumage.eye(pen, 84, -264, 11, self.iris, self.ring)

    def _wing_paint(self) -> Fade:
        return Fade(self.wing, darker(self.wing, 0.35), (40, -220), (-140, 0))

    def _tail(self, pen: Pen) -> None:
        pen.fill(TAIL, Fade(self.tail, darker(self.tail, 0.3), (-80, -60), (-170, 90)))
        inside = pen.within(TAIL)
        for path in ("-70,-70 -168,80", "-62,-50 -152,96"):
            inside.line(path, 3.5, self.edge, 1.5, 0.8)


def _copeton_head(pen: Pen) -> None:
    for path, colour, width in (
        ("124,-276 80,-292 30,-276 -10,-236", "#2b2420", 17),
        ("120,-252 84,-256 40,-246 6,-216", "#2b2420", 9),
        ("112,-236 88,-226 66,-220 44,-206", "#2b2420", 7),
    ):
        pen.line(path, width, colour, width * 0.7)


def _mirla_breast(pen: Pen) -> None:
    plumage.scales(pen, (20, -190, 130, -40), 26, "#6d5f57", 0.35)


def _tangara_breast(pen: Pen) -> None:
    plumage.scales(pen.within(BELLY), (-40, -170, 130, -30), 22, "#d8f7ff", 0.45)


AZULEJO = Songbird(
    Fade("#a9c6d6", "#7fa6c4", (80, -300), (-60, -40)),
    "#3f83b5",
    "#8fd0e6",
    "#3a78ad",
    ("#4a5058", "#343a42"),
    marks=((BELLY, "#c3d6de"), (HEAD, "#bcd3dd")),
    wing_marks=(("80,-240 -10,-240 -30,-180 10,-160 60,-180", "#5aa5d6"),),
)
COPETON = Songbird(
    "#9a7250",
    "#7d5738",
    "#d8b98c",
    "#6b4c35",
    ("#7b7370", "#5b5553"),
    "#8f6350",
    marks=(
        (BELLY, "#d9cfc2"),
        (HEAD, "#a3a09c"),
        (THROAT, "#f6f1e6"),
        ("10,-250 -30,-220 -20,-180 20,-176 66,-190 110,-170 130,-182 104,-204 70,-208 44,-214", "#c4622d"),
        ("130,-176 96,-186 84,-164 108,-150 130,-156", "#2b2420"),
    ),
    crest=(
        ("110,-288 66,-306 40,-346! 22,-318 10,-270 50,-270", "#8b8885"),
        ("92,-300 66,-312 42,-346! 50,-306", "#2b2420"),
    ),
    wing_marks=(("60,-150 36,-172 -2,-140 -30,-112 -20,-104 10,-130", "#f1e7d2"),),
    detail=_copeton_head,
)
MIRLA = Songbird(
    Fade("#5a4e49", "#3a322f", (80, -300), (-40, -40)),
    "#463c38",
    "#7d6f66",
    "#3a312e",
    ("#f08a24", "#d97718"),
    "#ef8a22",
    FINE,
    marks=((BELLY, "#6b5d54"),),
    iris="#5a2f16",
    ring="#f0952e",
    detail=_mirla_breast,
)
BICHOFUE = Songbird(
    "#9c7442",
    "#8a6136",
    "#d99b55",
    "#7d5530",
    ("#22201f", "#151313"),
    "#2b2624",
    HOOK,
    marks=(
        (BELLY, Fade("#ffd93b", "#f5b81f", (60, -220), (0, -40))),
        (HEAD, "#fbf6e8"),
        (THROAT, "#fffaf0"),
        (CROWN, "#1f1b1c"),
        (MASK, "#1f1b1c"),
    ),
    crest=(
        ("108,-292 66,-316 26,-304 4,-270 50,-280", "#1f1b1c"),
        ("84,-306 56,-318 34,-308 50,-300", "#f7c52a"),
    ),
    over=(("128,-283 96,-291 58,-284 26,-264 0,-236 6,-226 32,-252 64,-272 98,-279 128,-273", "#fffaf0"),),
    wing_marks=(("-20,-60 10,-84 -40,-70 -110,-20 -150,0 -110,-40", "#c27a3a"),),
)
TITIRIBI = Songbird(
    "#3d302e",
    "#3a2d2b",
    "#78655f",
    "#30262a",
    ("#1e1a1b", "#141112"),
    "#2b2624",
    FINE,
    marks=(
        (BELLY, Fade("#f0402f", "#d9291f", (90, -220), (0, -50))),
        (HEAD, "#ee3b2b"),
        (
            "134,-268 104,-276 66,-274 30,-254 -6,-216 -30,-190 0,-190 40,-214 72,-242 104,-254 134,-256",
            "#3a2c2b",
        ),
    ),
    crest=(("114,-286 84,-330 30,-338! 44,-322 8,-322! 26,-304 -4,-290! 20,-262 70,-276", "#ee3b2b"),),
)
ASOMA = Songbird(
    Fade("#7a1220", "#b81d25", (90, -290), (-80, -60)),
    "#2a1a1f",
    "#7a3138",
    "#221519",
    ("#2b2a30", "#dfe6ea"),
    marks=(
        (BELLY, "#b5202a"),
        (HEAD, "#6b0f1d"),
        (RUMP, "#e5322d"),
        ("60,-60 20,-90 -20,-60 -30,-20 30,-20", "#3a1018"),
    ),
)
MULTICOLOR = Songbird(
    Fade("#f4c51e", "#35a25a", (30, -260), (-60, -120)),
    "#1f8f5a",
    "#8fe08a",
    "#177a57",
    ("#262329", "#19171b"),
    "#5a4a45",
    FINE,
    marks=(
        (BELLY, Fade("#1d86c8", "#3cb7d8", (100, -200), (-20, -40))),
        (RUMP, "#2fb38a"),
        (HEAD, "#f7c71d"),
        (THROAT, "#fbd53a"),
        ("66,-250 36,-252 22,-226 40,-208 66,-214 76,-232", "#1b1a1e"),
        ("40,-232 20,-240 12,-216 32,-202 44,-214", "#b5532a"),
        ("20,-260 -16,-234 -40,-196 0,-186 30,-204 22,-232", "#8ecb2e"),
    ),
    wing_marks=(("80,-240 -10,-240 -40,-180 10,-166 60,-190", "#4cc06a"),),
    detail=_tangara_breast,
)
