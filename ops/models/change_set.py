"""A change set: cells that a person edited, staged until one run applies them."""

from django.db import models
from django.db.models.functions import Now


class ChangeSet(models.Model):
    """``columns`` are the fields of the edited cells; ``types`` the columns' types when they were staged.

    ``followers`` maps a field that is written with another one to that one: a dual write would copy it; null
    where a trigger computes it. The cells are rows of StagedChange, and are kept after the run.
    """

    model = models.CharField(max_length=64)
    columns = models.JSONField()
    followers = models.JSONField(default=dict, db_default={})
    types = models.JSONField(default=dict, db_default={})
    title = models.CharField(max_length=200, blank=True, db_default="")
    source = models.CharField(
        max_length=32, blank=True, db_default="", help_text="Where it was made, for example sheet or upload."
    )
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "ops_change_set"
        default_permissions = ()
        indexes = [models.Index(fields=["created_by", "id"], name="idx_change_set_person")]

    def __str__(self) -> str:
        return self.title or f"change set {self.pk}"


class StagedChange(models.Model):
    """The edited cells of one row: the mirror of its audit row.

    ``changes`` maps a column to the value that the person saw and the one to write, as in AuditLog:
    ``{"title": {"old": "Aguila", "new": "Águila"}}``. ``is_new``: the row is to be created with this key.
    """

    # The unique index serves queries by change set, too.
    change_set = models.ForeignKey(ChangeSet, models.CASCADE, related_name="staged", db_index=False)
    object_id = models.TextField()
    changes = models.JSONField()
    is_new = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "ops_staged_change"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["change_set", "object_id"], name="ops_staged_change_object_uniq")
        ]

    def __str__(self) -> str:
        return self.object_id
