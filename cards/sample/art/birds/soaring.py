"""Birds in flight with both wings spread: condor, scarlet macaw, oilbird."""

from collections.abc import Sequence

from cards.sample.art import plumage
from cards.sample.art.birds.parrots import parrot_head
from cards.sample.art.geometry import curve, leaf, oval, petal, toward
from cards.sample.art.pen import Fade, Pen, darker, lighter


def _feathers(
    wing: Pen,
    roots: Sequence[tuple[float, float]],
    angles: Sequence[float],
    lengths: Sequence[float],
    width: float,
    colours: Sequence[str],
) -> None:
    for (x, y), angle, length, colour in zip(roots, angles, lengths, colours, strict=True):
        feather = petal(x, y, angle, length, width, -6)
        wing.fill(feather, Fade(colour, darker(colour, 0.35), (x, y), toward(x, y, angle, length)))
        wing.line([(x, y), toward(x, y, angle - 4, length * 0.92)], 2.6, lighter(colour, 0.25), 1, 0.7)


def _along(start: tuple[float, float], end: tuple[float, float], count: int) -> list[tuple[float, float]]:
    return [
        (start[0] + (end[0] - start[0]) * i / (count - 1), start[1] + (end[1] - start[1]) * i / (count - 1))
        for i in range(count)
    ]


def condor(pen: Pen) -> None:
    """Vultur gryphus from above: white panels, white ruff, spread fingers."""
    for angle in (250, 260, 270, 280, 290):
        pen.fill(petal(0, 70, angle, 130, 46), Fade("#2a2a33", "#16161c", (0, 80), (0, 200)))
    for side in (False, True):
        wing = pen.at(0, 0, 1, 0, side)
        wing.fill("10,-20 40,70 150,50 240,20 268,-30 200,-70", "#cfccc8")
        wing.fill("220,-90 230,-10 290,40 350,-20 370,-80 300,-100", "#1c1c23")
        _feathers(
            wing,
            _along((235, -58), (292, -86), 7),
            (-62, -46, -30, -14, 2, 18, 32),
            (150, 172, 186, 186, 176, 156, 130),
            27,
            ("#1c1c23",) * 7,
        )
        _feathers(
            wing,
            _along((34, -20), (236, -50), 11),
            [-88 + i * 2 for i in range(11)],
            [150 - abs(i - 5) * 2 for i in range(11)],
            36,
            ("#e9e7e2",) * 10 + ("#c9c7c4",),
        )
        wing.fill(
            "0,-70 60,-92 150,-100 240,-122 304,-106 312,-86 280,-62 200,-36 100,-4 20,30",
            Fade("#2e2e38", "#17171d", (0, -100), (0, 30)),
        )
        inside = wing.within("0,-70 60,-92 150,-100 240,-122 304,-106 312,-86 280,-62 200,-36 100,-4 20,30")
        plumage.scales(inside, (10, -110, 310, 20), 30, "#565663", 0.6)
    plumage.body(
        pen,
        "0,-110 42,-86 52,-20 40,60 0,110 -40,60 -52,-20 -42,-86",
        Fade("#2b2b34", "#15151b", (0, -110), (0, 110)),
    )
    for angle in range(-12, 193, 17):
        pen.fill(petal(0, -88, angle, 50, 24), "#fbf7ee")
    pen.fill(oval(0, -92, 36, 22), "#f1ebdd")
    pen.fill(
        "-20,-100 -24,-140 -14,-176 12,-184 26,-166 26,-130 20,-100",
        Fade("#d98f80", "#b05f58", (0, -180), (0, -100)),
    )
    pen.fill("14,-182! 38,-184 54,-168 54,-146! 40,-158 20,-156!", "#f0e4c8")
    pen.fill("-14,-174 -10,-200 8,-212 28,-202 30,-182 8,-178", "#8f4a48")
    plumage.eye(pen, 8, -166, 6.5, "#e8c9a0")


def scarlet_macaw(pen: Pen) -> None:
    """Ara macao from above, in full colour."""
    for lean, length, colour in (
        (262, 250, "#2a63b8"),
        (278, 250, "#2a63b8"),
        (266, 300, "#c22a22"),
        (274, 300, "#c22a22"),
        (270, 340, "#e2372b"),
    ):
        plumage.fan(pen, (0, 60), (lean,), (length,), 40, (colour,))
    for side in (False, True):
        wing = pen.at(0, 0, 1, 0, side)
        wing.fill("10,0 36,80 120,60 200,20 270,10 310,-50 250,-100", "#2a5bae")
        _feathers(
            wing,
            _along((190, -60), (246, -92), 6),
            (-64, -48, -32, -16, -2, 12),
            (140, 158, 164, 160, 146, 124),
            30,
            ("#2b63bd", "#2b5fb5", "#2857a8", "#254e9b", "#22468c", "#1f3d7c"),
        )
        _feathers(
            wing,
            _along((26, 10), (190, -52), 9),
            [-86 + i * 2.6 for i in range(9)],
            [126] * 9,
            34,
            (
                "#2f7fc9",
                "#2f7fc9",
                "#2f7ac4",
                "#2f74c0",
                "#2e6fbd",
                "#2d6bbd",
                "#2c67bd",
                "#2b63bd",
                "#2b63bd",
            ),
        )
        _feathers(
            wing,
            _along((24, -20), (200, -70), 9),
            [-84 + i * 3 for i in range(9)],
            [76] * 9,
            34,
            (
                "#f7c62f",
                "#f9cf3a",
                "#f7c62f",
                "#f9cf3a",
                "#f7c62f",
                "#f4bd2b",
                "#d9c13d",
                "#8fb34d",
                "#4f9a5c",
            ),
        )
        shape = "0,-64 60,-90 150,-104 226,-124 262,-106 246,-78 190,-56 100,-20 20,26"
        wing.fill(shape, Fade("#f0442f", "#cb2a22", (0, -110), (0, 20)))
        plumage.scales(wing.within(shape), (6, -120, 260, 20), 28, "#ff8a6a", 0.65)
    plumage.body(
        pen,
        "0,-110 44,-84 50,-20 38,50 0,100 -38,50 -50,-20 -44,-84",
        Fade("#ee3b2c", "#bf241f", (0, -110), (0, 100)),
    )
    parrot_head(pen.at(-4, -116, 1, -6))


def oilbird(pen: Pen) -> None:
    """Steatornis caripensis: rust brown with white diamonds."""
    rust, deep = "#a35a2c", "#7a3f22"
    plumage.fan(
        pen,
        (0, 60),
        (250, 290, 257, 283, 264, 276, 270),
        (150, 150, 168, 168, 182, 182, 190),
        42,
        (deep, deep, "#8c4a27", "#8c4a27", rust, rust, "#b06735"),
    )
    for y in (120, 165, 205):
        for x in (-34, 0, 34):
            pen.fill(leaf(x * (0.5 + y / 260), y - 8, -90, 16, 9), "#fff2d6")
    for side in (False, True):
        wing = pen.at(0, 0, 1, 0, side)
        wing.fill("10,0 36,80 120,60 210,30 280,20 330,-50 250,-100", deep)
        _feathers(
            wing,
            _along((200, -60), (258, -92), 7),
            (-66, -52, -38, -24, -10, 2, 14),
            (130, 150, 162, 164, 156, 140, 118),
            30,
            (deep,) * 7,
        )
        _feathers(
            wing,
            _along((26, 6), (204, -52), 9),
            [-86 + i * 2.4 for i in range(9)],
            [122] * 9,
            36,
            (rust, deep) * 4 + (rust,),
        )
        shape = "0,-64 60,-92 150,-104 230,-124 272,-106 256,-78 200,-52 100,-14 20,28"
        wing.fill(shape, Fade("#b8692f", "#8a4a26", (0, -110), (0, 20)))
        inside = wing.within(shape)
        plumage.scales(inside, (6, -120, 270, 20), 30, "#d99a5c", 0.5)
        for x, y in (
            (60, -60),
            (100, -70),
            (140, -78),
            (180, -90),
            (216, -100),
            (84, -34),
            (124, -46),
            (164, -60),
            (44, -28),
        ):
            inside.fill(leaf(x, y - 8, -90, 18, 11), "#fff2d6")
    for x in range(48, 200, 30):
        for mirror in (-1, 1):
            pen.fill(leaf(mirror * x, 66 - x * 0.22, -90, 15, 9), "#fff2d6", 0.9)
    plumage.body(
        pen,
        "0,-104 46,-80 52,-16 38,54 0,104 -38,54 -52,-16 -46,-80",
        Fade("#b8692f", "#7d4224", (0, -110), (0, 100)),
    )
    for x, y in ((-20, -30), (16, -10), (-8, 20), (24, 40), (-26, 50), (0, 70)):
        pen.fill(leaf(x, y, -90, 15, 9), "#fff2d6", 0.9)
    pen.fill(
        "-44,-80 -50,-124 -22,-158 22,-158 50,-124 44,-80 0,-66",
        Fade("#b56a34", "#96512a", (0, -160), (0, -70)),
    )
    for side in (False, True):
        half = pen.at(0, 0, 1, 0, side)
        plumage.eye(half, 30, -126, 12, "#7fb4d6", "#5e3219")
        for turn in (-30, -50, 8):
            half.line(
                curve(
                    f"8,-136 {30 + turn * 0.2},-{160 + turn * 0.3} {40 - turn * 0.1},-{176 + turn * 0.5}",
                    closed=False,
                ),
                2.4,
                "#5e3219",
                0.8,
            )
    pen.fill("-16,-146! 0,-156 16,-146! 14,-128 2,-104! -8,-112 -14,-128", "#e8d3ac")
    pen.fill("-4,-150 6,-150 4,-110 2,-104! -2,-112", "#c9ac7d")
