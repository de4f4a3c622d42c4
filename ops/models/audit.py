"""The audit log: one row for every object that KYNDO changed, written in the transaction of the change.

What others change, in psql or by ``save()``, has none.
"""

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from ops.models.run import Run


class AuditLog(models.Model):
    """What changed, from what to what, by whom and in which run.

    ``changes`` maps a column to its old and new value: ``{"rarity": {"old": "common", "new": "rare"}}``.
    SQL NULL is ``null``, except in a JSON column, where ``null`` is JSON's own and SQL NULL is a missing
    key. The object is named by label and key, with no foreign key: an audit row outlives what it speaks of.
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
        indexes = [models.Index(fields=["object_id"], name="idx_audit_logs_object")]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            # Protect has no TRUNCATE at statement level, and TRUNCATE has no other.
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
