"""An export that a worker writes: its request, its progress and its result."""

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
    """``asked`` is an `ops.export.request.ExportRequest`; ``summary`` is that of the written folder.

    The job that writes it is its ``owner``, and updates ``heartbeat_at``. Where that expires, the job was
    lost, and another starts again.
    """

    asked = models.JSONField()
    path = models.TextField(blank=True, help_text="The folder to create, on the worker's disk.")
    performed_by = models.CharField(max_length=150)
    state = models.CharField(max_length=16, choices=ExportState, default=ExportState.QUEUED)
    owner = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    rows = models.BigIntegerField(default=0, help_text="Rows written so far.")
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
