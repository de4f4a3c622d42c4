"""The plots, written as SVG by hand: bars of ratios, and the curve of the targets."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bench.engine.results import (
    ResultStore,
    Spread,
    compute_spread,
    compute_throughput_ratio,
    rows_per_second,
)
from bench.engine.variants import BASELINE, VARIANTS

_WIDTH, _LEFT_MARGIN, _BAR_HEIGHT = 860, 400, 26
_TEXT_COLOUR, _BAR_COLOUR, _LINE_COLOUR = "#333", "#4A90E2", "#9B59B6"


def throughput_filename(rows: int) -> str:
    return f"benchmarks-{rows}.svg"


def curve_filename(rows: int) -> str:
    return f"benchmarks-curve-{rows}.svg"


def render_plots(results: ResultStore) -> dict[str, str]:
    """File name to SVG."""
    bars = {throughput_filename(rows): _render_bars(results, rows) for rows in results.sizes("speed")}
    return bars | {curve_filename(rows): _render_curve(results, rows) for rows in results.sizes("curve")}


def _render_bars(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("speed", rows)
    found = [
        (VARIANTS[name].title, told)
        for name in VARIANTS
        if (told := compute_throughput_ratio(rounds, name, BASELINE))
    ]
    most = max([told.maximum for _, told in found], default=1)
    scale = (_WIDTH - _LEFT_MARGIN - 70) / most
    shapes = [_render_text(10, 22, f"{rows:,} cards: rows a second, of the limit in the same round", 15)]
    for place, (title, told) in enumerate(found):
        shapes += _render_bar(44 + place * _BAR_HEIGHT, title, told, scale)
    one = _LEFT_MARGIN + scale
    shapes.append(
        f'<path d="M{one:.1f} 36V{44 + len(found) * _BAR_HEIGHT}"'
        f' stroke="{_TEXT_COLOUR}" stroke-dasharray="4"/>'
    )
    return _render_svg(60 + len(found) * _BAR_HEIGHT, shapes)


def _render_bar(top: int, title: str, told: Spread, scale: float) -> list[str]:
    middle, least, most = (value * scale for value in (told.median, told.minimum, told.maximum))
    y = top + _BAR_HEIGHT / 2 - 4
    return [
        _render_text(_LEFT_MARGIN - 10, top + 14, title, 13, "end"),
        f'<rect x="{_LEFT_MARGIN}" y="{top}" width="{middle:.1f}" height="{_BAR_HEIGHT - 8}"'
        f' fill="{_BAR_COLOUR}"/>',
        f'<path d="M{_LEFT_MARGIN + least:.1f} {y}H{_LEFT_MARGIN + most:.1f}"'
        f' stroke="{_TEXT_COLOUR}" stroke-width="2"/>',
        _render_text(_LEFT_MARGIN + most + 8, top + 14, f"{told.median:.2f}", 13),
    ]


def _render_curve(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("curve", rows)
    names = sorted({name for one in rounds for name in one if name != BASELINE}, key=int)
    rates = [told.median for name in names if (told := compute_spread(rounds, name, rows_per_second))]
    waits = [
        told.median
        for name in names
        if (told := compute_spread(rounds, name, lambda told: float(told["p99"])))
    ]
    steps = [90 + 680 * place / max(1, len(names) - 1) for place in range(len(names))]
    shapes = [
        _render_text(10, 22, f"{rows:,} cards: the target of a batch, beside a player", 15),
        _render_text(90, 46, "rows a second", 13, colour=_BAR_COLOUR),
        _render_text(770, 46, "player's p99 from due, ms", 13, "end", _LINE_COLOUR),
    ]
    shapes += [_render_text(x, 330, f"{name} ms", 13, "middle") for x, name in zip(steps, names, strict=True)]
    shapes += _render_series(steps, rates, _BAR_COLOUR, -10) + _render_series(steps, waits, _LINE_COLOUR, 20)
    return _render_svg(350, shapes)


def _render_series(steps: list[float], values: list[float], colour: str, above: int) -> list[str]:
    """A line that reaches the top at its largest value, each point with its figure."""
    heights = [300 - 220 * value / max(values) for value in values]
    points = list(zip(steps, heights, values, strict=True))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y, _ in points]
    figures = [_render_text(x, y + above, f"{value:,.0f}", 12, "middle", colour) for x, y, value in points]
    return [line, *dots, *figures]


def _render_text(
    x: float, y: float, words: str, size: int, anchor: str = "start", colour: str = _TEXT_COLOUR
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def _render_svg(height: int, shapes: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>', *shapes, "</svg>", ""])
