"""A key: one of the rows that a run was asked to change, where it was asked for certain rows."""

from django.db import models

from ops.models.run import Run


class Key(models.Model):
    # The unique index serves for what an index on the run would.
    run = models.ForeignKey(Run, models.CASCADE, related_name="keys", db_index=False)
    object_id = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "object_id"], name="ops_key_run_object_uniq")]

    def __str__(self) -> str:
        return self.object_id
