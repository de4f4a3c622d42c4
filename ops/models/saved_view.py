"""Views of lists: what somebody wants to see again."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

MAX_QUERY_LENGTH = 4_000


class SavedView(models.Model):
    """A list under a name: its filters, search, order, columns and layout, as the query of its URL."""

    model = models.CharField(max_length=64, editable=False)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=MAX_QUERY_LENGTH, blank=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", editable=False)
    is_shared = models.BooleanField(
        "shared with everybody", default=False, help_text="Everybody who may see the list sees the view."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "ops_saved_view"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["model", "owner", "name"], name="ops_saved_view_name_uniq"),
        ]
        indexes = [
            models.Index(fields=["model"], name="ops_saved_view_shared", condition=models.Q(is_shared=True)),
        ]

    def __str__(self) -> str:
        return self.name
