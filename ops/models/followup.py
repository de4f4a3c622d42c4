"""A follow-up: an automatic run that was requested while another run had claimed its columns."""

from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class FollowUp(models.Model):
    """Waits for the run that has claimed the columns; starts in the transaction that ends that run."""

    holder = models.ForeignKey(Run, models.CASCADE, related_name="followups")
    operation = models.CharField(max_length=64)
    performed_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["holder", "operation"], name="ops_followup_holder_operation_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.operation} after {self.holder}"
