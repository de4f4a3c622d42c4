"""The plots of a run's page: rows a second, the duration of batches, WAL: inline SVG and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from ops.formatting import format_duration, format_size
from ops.models import Run, Sample

# Of the coordinates in an SVG, which is scaled to the width of the page.
WIDTH, HEIGHT = 600, 120
# Longer gaps without a batch are pauses, which the plots leave out.
_MAX_GAP = timedelta(minutes=1)
_MAX_TABLE_ROWS = 20
_MIN_SECONDS = 0.001
_SAMPLE_SECONDS = 1


@dataclass(frozen=True)
class Span:
    """What happened between two samples. ``start`` and ``end`` are seconds at work since the run began."""

    start: float
    end: float
    rows: int
    batches: int
    busy: float
    wal: int

    @property
    def seconds(self) -> float:
        return max(self.end - self.start, _MIN_SECONDS)

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def batch_milliseconds(self) -> float:
        return 1000 * self.busy / self.batches if self.batches else 0.0

    @property
    def wal_rate(self) -> float:
        return self.wal / self.seconds


@dataclass(frozen=True)
class Plot:
    """A line over the time. ``line`` and ``area`` are paths; ``summary`` is the text for who sees no plot."""

    name: str
    title: str
    summary: str
    line: str
    area: str
    mean: str
    highest: str
    duration: str


@dataclass(frozen=True)
class RunPlots:
    plots: list[Plot]
    rows: list[tuple[str, str, str, str]]


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f} rows/s"


def _format_milliseconds(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms"


def _format_wal_rate(rate: float) -> str:
    return f"{format_size(round(rate))}/s"


_Value = Callable[[Span], float]
_Format = Callable[[float], str]
_SERIES: tuple[tuple[str, str, _Value, _Format], ...] = (
    ("rate", "Rows changed", lambda span: span.rate, _format_rate),
    ("batches", "Mean duration of a batch", lambda span: span.batch_milliseconds, _format_milliseconds),
    ("wal", "WAL of the whole server", lambda span: span.wal_rate, _format_wal_rate),
)


def read_plots(run: Run) -> RunPlots | None:
    """Return the plots; None while no two samples show that a row was changed."""
    spans = build_spans(list(run.samples.order_by("pk")))
    if not any(span.rows for span in spans):
        return None
    plots = [_build_plot(name, title, spans, value, write) for name, title, value, write in _SERIES]
    return RunPlots(plots, [_build_row(span) for span in merge_spans(spans, _MAX_TABLE_ROWS)])


def build_spans(samples: Sequence[Sample]) -> list[Span]:
    """Return what happened between the samples; a clock or a WAL that was set back counts as no change."""
    spans, start = [], 0.0
    for one, other in pairwise(samples):
        span = other.taken_at - one.taken_at
        batches = max(0, other.batches - one.batches)
        if span <= timedelta() or (not batches and span > _MAX_GAP):
            continue
        end = start + span.total_seconds()
        busy = max(0.0, (other.busy - one.busy).total_seconds())
        rows, wal = max(0, other.changed - one.changed), max(0, other.wal - one.wal)
        spans.append(Span(start, end, rows, batches, busy, wal))
        start = end
    if len(spans) > 1 and not spans[-1].batches and spans[-1].seconds < _SAMPLE_SECONDS:
        spans.pop()  # the checks after the last batch, which would be drawn as a fall
    return spans


def merge_spans(spans: Sequence[Span], count: int) -> list[Span]:
    """Merge neighbours, as many each time, until there are at most ``count``."""
    size = -(-len(spans) // count)
    groups = [spans[first : first + size] for first in range(0, len(spans), size)]
    return [
        Span(
            group[0].start,
            group[-1].end,
            sum(span.rows for span in group),
            sum(span.batches for span in group),
            sum(span.busy for span in group),
            sum(span.wal for span in group),
        )
        for group in groups
    ]


def _build_plot(name: str, title: str, spans: Sequence[Span], value: _Value, write: _Format) -> Plot:
    values = [value(span) for span in spans]
    highest, end = max(values), spans[-1].end
    scale = HEIGHT / highest if highest else 0.0
    points = []
    for span, height in zip(spans, values, strict=True):
        y = f"{HEIGHT - scale * height:.1f}"
        points += [f"{WIDTH * span.start / end:.1f},{y}", f"{WIDTH * span.end / end:.1f},{y}"]
    line = "M" + "L".join(points)
    duration = format_duration(timedelta(seconds=end))
    [whole] = merge_spans(spans, 1)
    mean = write(value(whole))
    summary = f"Over {duration} of work: {mean} on average, at most {write(highest)}."
    area = f"{line}L{WIDTH},{HEIGHT}L0,{HEIGHT}Z"
    return Plot(name, title, summary, line, area, mean, write(highest), duration)


def _build_row(span: Span) -> tuple[str, str, str, str]:
    return (
        format_duration(timedelta(seconds=span.end)),
        _format_rate(span.rate),
        _format_milliseconds(span.batch_milliseconds),
        _format_wal_rate(span.wal_rate),
    )
