"""The SVG plots: bars of throughput ratios, and the curve of batch targets."""

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
    """Return the SVG of each file name."""
    bars = {throughput_filename(rows): _render_bars(results, rows) for rows in results.sizes("speed")}
    return bars | {curve_filename(rows): _render_curve(results, rows) for rows in results.sizes("curve")}


def _render_bars(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("speed", rows)
    ratios = [
        (VARIANTS[name].title, ratio)
        for name in VARIANTS
        if (ratio := compute_throughput_ratio(rounds, name, BASELINE))
    ]
    maximum = max([ratio.maximum for _, ratio in ratios], default=1)
    scale = (_WIDTH - _LEFT_MARGIN - 70) / maximum
    shapes = [
        _render_text(10, 22, f"{rows:,} cards: rows per second, relative to the limit in the same round", 15)
    ]
    for index, (title, ratio) in enumerate(ratios):
        shapes += _render_bar(44 + index * _BAR_HEIGHT, title, ratio, scale)
    one = _LEFT_MARGIN + scale
    shapes.append(
        f'<path d="M{one:.1f} 36V{44 + len(ratios) * _BAR_HEIGHT}"'
        f' stroke="{_TEXT_COLOUR}" stroke-dasharray="4"/>'
    )
    return _render_svg(60 + len(ratios) * _BAR_HEIGHT, shapes)


def _render_bar(top: int, title: str, ratio: Spread, scale: float) -> list[str]:
    median, minimum, maximum = (value * scale for value in (ratio.median, ratio.minimum, ratio.maximum))
    y = top + _BAR_HEIGHT / 2 - 4
    return [
        _render_text(_LEFT_MARGIN - 10, top + 14, title, 13, "end"),
        f'<rect x="{_LEFT_MARGIN}" y="{top}" width="{median:.1f}" height="{_BAR_HEIGHT - 8}"'
        f' fill="{_BAR_COLOUR}"/>',
        f'<path d="M{_LEFT_MARGIN + minimum:.1f} {y}H{_LEFT_MARGIN + maximum:.1f}"'
        f' stroke="{_TEXT_COLOUR}" stroke-width="2"/>',
        _render_text(_LEFT_MARGIN + maximum + 8, top + 14, f"{ratio.median:.2f}", 13),
    ]


def _render_curve(results: ResultStore, rows: int) -> str:
    rounds = results.rounds("curve", rows)
    names = sorted({name for one in rounds for name in one if name != BASELINE}, key=int)
    rates = [spread.median for name in names if (spread := compute_spread(rounds, name, rows_per_second))]
    latencies = [
        spread.median
        for name in names
        if (spread := compute_spread(rounds, name, lambda result: float(result["p99"])))
    ]
    steps = [90 + 680 * index / max(1, len(names) - 1) for index in range(len(names))]
    shapes = [
        _render_text(10, 22, f"{rows:,} cards: target duration of a batch, beside a player", 15),
        _render_text(90, 46, "rows per second", 13, colour=_BAR_COLOUR),
        _render_text(770, 46, "player's p99, ms", 13, "end", _LINE_COLOUR),
    ]
    shapes += [_render_text(x, 330, f"{name} ms", 13, "middle") for x, name in zip(steps, names, strict=True)]
    shapes += _render_series(steps, rates, _BAR_COLOUR, -10) + _render_series(
        steps, latencies, _LINE_COLOUR, 20
    )
    return _render_svg(350, shapes)


def _render_series(steps: list[float], values: list[float], colour: str, above: int) -> list[str]:
    """Render a line scaled to its largest value, with a label at each point."""
    heights = [300 - 220 * value / max(values) for value in values]
    points = list(zip(steps, heights, values, strict=True))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y, _ in points]
    figures = [_render_text(x, y + above, f"{value:,.0f}", 12, "middle", colour) for x, y, value in points]
    return [line, *dots, *figures]


def _render_text(
    x: float, y: float, text: str, size: int, anchor: str = "start", colour: str = _TEXT_COLOUR
) -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {attributes}>{escape(text)}</text>"


def _render_svg(height: int, shapes: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>', *shapes, "</svg>", ""])
