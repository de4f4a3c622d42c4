"""A file that a person uploads, whose rows are staged as a change set: its state, progress and result."""

from django.db import models
from django.db.models.functions import Now

from ops.models.change_set import ChangeSet


class UploadState(models.TextChoices):
    WAITING = "waiting"
    STAGED = "staged"
    REFUSED = "refused"
    DISCARDED = "discarded"


class Upload(models.Model):
    """``path`` is on the disk that the site and its workers share, until the file is staged or refused.

    ``rows`` were read so far. Once it is staged, ``changed_columns`` has the number of cells that differ, by
    column, and ``change_set`` the rows, whose keys are from ``first`` to ``last``: None where all are as in
    the file. The job that stages it updates ``heartbeat_at``. Where that expires, the job was lost.
    """

    model = models.CharField(max_length=64)
    name = models.CharField(max_length=255, help_text="As the person's computer calls the file.")
    path = models.TextField(blank=True)
    bytes = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=UploadState, default=UploadState.WAITING)
    performed_by = models.CharField(max_length=150)
    rows = models.BigIntegerField(default=0)
    created = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    changed_columns = models.JSONField(default=dict)
    remarks = models.JSONField(default=list)
    error = models.TextField(blank=True)
    change_set = models.OneToOneField(ChangeSet, models.CASCADE, null=True, related_name="upload")
    first = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "ops_upload"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=UploadState.values), name="ops_upload_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"upload {self.pk}"

    @property
    def unchanged(self) -> int:
        """How many rows of the file are in the table already, as they are."""
        return self.rows - self.created - self.changed
