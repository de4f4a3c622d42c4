"""An approval: what a second person is asked about a run, and what was decided."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class Decision(models.TextChoices):
    """How the wait for a second person ended; the run of all but the first is cancelled."""

    APPROVED = "approved", "approved"
    DECLINED = "declined", "declined"
    WITHDRAWN = "withdrawn", "cancelled"
    RETURNED = "returned", "sent back"
    EXPIRED = "expired", "expired"


class Approval(models.Model):
    """A run that needs, or needed, a second person.

    ``rows`` are those that it would have changed when it was asked for; ``earlier_rows`` those of the asker's
    other runs within a day that needed nobody. Together they were more than ``limit``. ``decision`` is empty
    while it waits; ``reason`` is why it was sent back.
    """

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    rows = models.BigIntegerField()
    earlier_rows = models.BigIntegerField(default=0)
    limit = models.BigIntegerField()
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    decision = models.CharField(max_length=16, choices=Decision, blank=True)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    decision_comment = models.TextField(blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        db_table = "ops_approval"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decision="", decided_at=None) | models.Q(decision__in=Decision.values),
                name="ops_approval_decision_known",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="ops_approval_waiting", condition=models.Q(decision="")),
        ]

    def __str__(self) -> str:
        return f"approval of {self.run}"
