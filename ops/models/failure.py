"""A failure: a row that a run could not change, and why."""

from __future__ import annotations

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from ops.models.audit import AuditLog
from ops.models.run import Run


class Failures(models.QuerySet["Failure"]):
    def counted(self) -> Failures:
        """Filter those that count against the run: not those from before it was resumed."""
        return self.filter(to_retry=False)

    def standing(self) -> Failures:
        """Filter those whose row was not changed since: a successful retry supersedes a recorded failure."""
        changed = AuditLog.objects.filter(run=OuterRef("run"), object_id=OuterRef("object_id"))
        return self.exclude(Q(to_retry=True) & Exists(changed))


class Failure(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="failures")
    object_id = models.TextField()
    error = models.TextField()
    to_retry = models.BooleanField(
        default=False, db_default=False, help_text="The run was resumed since, and will try the row again."
    )
    created_at = models.DateTimeField(db_default=Now())

    objects = Failures.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "object_id"], name="ops_failure_run_object_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.object_id}: {self.error}"
