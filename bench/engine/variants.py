"""The variants of the work that are compared."""

from __future__ import annotations

from dataclasses import dataclass

BASELINE = "limit"
ONE_WORKER, TWO_WORKERS = "worker", "workers"


@dataclass(frozen=True)
class Variant:
    """``kind`` selects the code, which runs in ``processes`` processes on ``schema``.

    With ``workers``, the process enqueues a run with ``lanes`` lanes for so many workers, and waits.
    ``sampled`` variants are slow and change only the first rows of the table. ``target`` is the duration of
    a batch in milliseconds, None for the engine's default.
    """

    name: str
    title: str
    kind: str
    schema: str = "kyndo"
    processes: int = 1
    lanes: int = 1
    workers: int | None = None
    batch_size: int | None = None
    target: int | None = None
    sampled: bool = False


VARIANTS = {
    variant.name: variant
    for variant in [
        Variant(BASELINE, "The limit: one bare statement on the same tables", "bare"),
        Variant("reference", "The same bare statement on the reference schema", "bare", schema="reference"),
        Variant("adaptive", "Engine, adaptive", "engine"),
        Variant("pinned-50", "Engine, batches of 50", "engine", batch_size=50),
        Variant("pinned-1000", "Engine, batches of 1,000", "engine", batch_size=1_000),
        Variant("pinned-5000", "Engine, batches of 5,000", "engine", batch_size=5_000),
        Variant("two", "Engine, adaptive, two processes", "engine", processes=2, lanes=2),
        Variant(ONE_WORKER, "Engine, 4 lanes, one worker of the queue", "queue", lanes=4, workers=1),
        Variant(TWO_WORKERS, "Engine, 4 lanes, two workers of the queue", "queue", lanes=4, workers=2),
        Variant(
            "django-set",
            "Django: update() and bulk_create(), batches of 1,000",
            "django_set",
            sampled=True,
        ),
        Variant("django-bulk", "Django: bulk_update() and bulk_create(), 1,000", "django_bulk", sampled=True),
        Variant("django-save", "Django: save() in a loop", "django_save", sampled=True),
    ]
}


def variant_with_target(milliseconds: int) -> Variant:
    """Return the adaptive engine with another target duration."""
    return Variant(f"target-{milliseconds}", f"Target of {milliseconds} ms", "engine", target=milliseconds)
