"""The audit log: one row for each object that KYNDO changed, written in the transaction of the change.

Changes by others, in psql or by ``save()``, have no row.
"""

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class AuditLog(models.Model):
    """One changed object: its old and new values, who changed it, and in which run.

    ``changes`` maps a column to its old and new value: ``{"rarity": {"old": "common", "new": "rare"}}``.
    SQL NULL is ``null``; in a JSON column ``null`` is the JSON value, and SQL NULL is a missing key. The
    object is named by label and key, without a foreign key: an audit row remains when its object is deleted.
    """

    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.TextField()
    performed_by = models.CharField(max_length=150)
    changes = models.JSONField()
    metadata = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audit_logs"
        constraints = [
            models.UniqueConstraint(
                fields=["run", "object_id"],
                name="audit_logs_run_object_uniq",
                condition=models.Q(run__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["object_id"], name="idx_audit_logs_object"),
            # The rows of a run are found by the run, and do not pay for it.
            models.Index(
                fields=["performed_by", "id"],
                name="idx_audit_logs_person",
                condition=models.Q(run__isnull=True),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            # Protect makes row triggers, and TRUNCATE has statement triggers only.
            pgtrigger.Trigger(
                name="no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'audit_logs is append-only: TRUNCATE is refused';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.object_type} {self.object_id}"
