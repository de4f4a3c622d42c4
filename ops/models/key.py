"""A key: one of the chosen rows of a run that does not change all matching rows."""

from django.db import models

from ops.models.run import Run


class Key(models.Model):
    # The unique index serves queries by run, too.
    run = models.ForeignKey(Run, models.CASCADE, related_name="keys", db_index=False)
    object_id = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "object_id"], name="ops_key_run_object_uniq")]

    def __str__(self) -> str:
        return self.object_id
