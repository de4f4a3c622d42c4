"""A failure: a row that a run could not change, and why."""

from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class Failure(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="failures")
    object_id = models.TextField()
    error = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "object_id"], name="ops_failure_run_object_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.object_id}: {self.error}"
