"""A sample: how far a run was at a time, for the plots of its page."""

from django.db import models

from ops.models.run import Run


class Sample(models.Model):
    """The counters of the run's lanes, and the position in the server's WAL. All of them only grow.

    So a sample between two others can be deleted: what is left is coarser, and still right. A run has at most
    some 200 of them: see `ops.sql.samples`.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="samples", db_index=False, db_constraint=False)
    taken_at = models.DateTimeField()
    changed = models.BigIntegerField()
    batches = models.BigIntegerField()
    busy = models.DurationField(help_text="Total duration of the transactions of the batches.")
    wal = models.BigIntegerField(help_text="Bytes of WAL that the server has written, others' included.")

    class Meta:
        indexes = [models.Index(fields=["run", "id"], name="idx_sample_run")]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"sample {self.pk} of {self.run}"
