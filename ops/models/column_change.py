"""The log of column changes, and who still writes through their old columns."""

from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class ColumnChangeEvent(models.Model):
    """A step of a column change that was taken, or taken back. Rows are only added.

    ``reason`` is why a wait was left out. ``details`` is what was measured, such as the counts of the checks.
    """

    change = models.CharField(max_length=64)
    step = models.CharField(max_length=16)
    is_back = models.BooleanField(default=False, db_default=False)
    performed_by = models.CharField(max_length=150)
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False)
    reason = models.TextField(blank=True, db_default="")
    details = models.JSONField(default=dict, db_default={})
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "ops_column_change_event"
        indexes = [models.Index(fields=["change", "id"], name="idx_column_change_event")]

    def __str__(self) -> str:
        return f"{self.change}: {'back from ' if self.is_back else ''}{self.step}"


class ColumnWriter(models.Model):
    """A time at which an application wrote through the old column of a change.

    The function ``ops_record_column_writer`` adds it, at most once a minute for each application_name, and
    deletes the earlier rows of each name. A transaction above READ COMMITTED only adds: the reaper deletes.
    """

    change = models.CharField(max_length=64)
    application_name = models.CharField(max_length=64)
    last_written_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "ops_column_writer"
        indexes = [models.Index(fields=["change", "application_name"], name="idx_column_writer")]

    def __str__(self) -> str:
        return f"{self.change}: {self.application_name}"
