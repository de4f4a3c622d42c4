"""The plots, written as SVG by hand: bars of ratios, and the curve of the targets."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bench.engine.results import Results, Spread, rate, ratio, spread
from bench.engine.variants import LIMIT, VARIANTS

_WIDTH, _LEFT, _BAR = 860, 400, 26
_INK, _FILL, _LINE = "#333", "#4A90E2", "#9B59B6"


def speed_name(rows: int) -> str:
    return f"benchmarks-{rows}.svg"


def curve_name(rows: int) -> str:
    return f"benchmarks-curve-{rows}.svg"


def drawings(results: Results) -> dict[str, str]:
    """File name to SVG."""
    bars = {speed_name(rows): _bars(results, rows) for rows in results.sizes("speed")}
    return bars | {curve_name(rows): _curve(results, rows) for rows in results.sizes("curve")}


def _bars(results: Results, rows: int) -> str:
    rounds = results.rounds("speed", rows)
    found = [(VARIANTS[name].title, told) for name in VARIANTS if (told := ratio(rounds, name, LIMIT))]
    most = max([told.most for _, told in found], default=1)
    scale = (_WIDTH - _LEFT - 70) / most
    shapes = [_text(10, 22, f"{rows:,} cards: rows a second, of the limit in the same round", 15)]
    for place, (title, told) in enumerate(found):
        shapes += _bar(44 + place * _BAR, title, told, scale)
    one = _LEFT + scale
    shapes.append(f'<path d="M{one:.1f} 36V{44 + len(found) * _BAR}" stroke="{_INK}" stroke-dasharray="4"/>')
    return _svg(60 + len(found) * _BAR, shapes)


def _bar(top: int, title: str, told: Spread, scale: float) -> list[str]:
    middle, least, most = (value * scale for value in (told.middle, told.least, told.most))
    y = top + _BAR / 2 - 4
    return [
        _text(_LEFT - 10, top + 14, title, 13, "end"),
        f'<rect x="{_LEFT}" y="{top}" width="{middle:.1f}" height="{_BAR - 8}" fill="{_FILL}"/>',
        f'<path d="M{_LEFT + least:.1f} {y}H{_LEFT + most:.1f}" stroke="{_INK}" stroke-width="2"/>',
        _text(_LEFT + most + 8, top + 14, f"{told.middle:.2f}", 13),
    ]


def _curve(results: Results, rows: int) -> str:
    rounds = results.rounds("curve", rows)
    names = sorted({name for one in rounds for name in one if name != LIMIT}, key=int)
    rates = [told.middle for name in names if (told := spread(rounds, name, rate))]
    waits = [told.middle for name in names if (told := spread(rounds, name, lambda told: float(told["p99"])))]
    steps = [90 + 680 * place / max(1, len(names) - 1) for place in range(len(names))]
    shapes = [
        _text(10, 22, f"{rows:,} cards: the target of a batch, beside a player", 15),
        _text(90, 46, "rows a second", 13, colour=_FILL),
        _text(770, 46, "player's p99 from due, ms", 13, "end", _LINE),
    ]
    shapes += [_text(x, 330, f"{name} ms", 13, "middle") for x, name in zip(steps, names, strict=True)]
    shapes += _series(steps, rates, _FILL, -10) + _series(steps, waits, _LINE, 20)
    return _svg(350, shapes)


def _series(steps: list[float], values: list[float], colour: str, above: int) -> list[str]:
    """A line that reaches the top at its largest value, each point with its figure."""
    heights = [300 - 220 * value / max(values) for value in values]
    points = list(zip(steps, heights, values, strict=True))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y, _ in points]
    figures = [_text(x, y + above, f"{value:,.0f}", 12, "middle", colour) for x, y, value in points]
    return [line, *dots, *figures]


def _text(x: float, y: float, words: str, size: int, anchor: str = "start", colour: str = _INK) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def _svg(height: int, shapes: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>', *shapes, "</svg>", ""])
