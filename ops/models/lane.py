"""A lane: a range of the key space with its own cursor, advanced by the process that locks its row."""

from datetime import timedelta

from django.db import models

from ops.models.run import Run


class Lane(models.Model):
    """The range of keys ``(lower, upper]`` of a run, processed up to ``cursor``.

    Keys are stored as text, so that any key type works; a null bound is open. ``changed`` and ``failed`` are
    updated in the transaction that changes the rows. ``heartbeat_at`` is informative: the lock of the row
    decides who works on the lane.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="lanes")
    number = models.PositiveSmallIntegerField()
    lower = models.TextField(null=True)
    upper = models.TextField(null=True)
    cursor = models.TextField(null=True)
    finished = models.BooleanField(default=False)
    changed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    batches = models.BigIntegerField(default=0)
    busy = models.DurationField(
        db_default=timedelta(), help_text="Total duration of the transactions of its batches."
    )
    heartbeat_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="ops_lane_run_number_uniq")]

    def __str__(self) -> str:
        return f"lane {self.number} of {self.run}"

    @property
    def position(self) -> str | None:
        """The key after which the next batch begins; None before all keys."""
        return self.lower if self.cursor is None else self.cursor
