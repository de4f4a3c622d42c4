"""An export that the workers write: what was asked, how far it is, what came of it."""

from django.db import models
from django.db.models.functions import Now


class ExportState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Export(models.Model):
    """``asked`` is a `ops.export.request.ExportRequest`; ``summary`` what the folder says of itself.

    Whoever works on it is its ``owner``, and shows that it lives by ``heartbeat_at``: where that stands
    still, it was lost, and another starts over.
    """

    asked = models.JSONField()
    path = models.TextField(blank=True, help_text="Where the folder appears, on the worker's disk.")
    performed_by = models.CharField(max_length=150)
    state = models.CharField(max_length=16, choices=ExportState, default=ExportState.QUEUED)
    owner = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    rows = models.BigIntegerField(default=0, help_text="Written so far.")
    total = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    summary = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=ExportState.values), name="ops_export_state_known"
            ),
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"export {self.pk}"
