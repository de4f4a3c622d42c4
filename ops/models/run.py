"""A run: one execution of an operation, with its request and its progress."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

from ops.clock import WorkTimer
from ops.states import State


class Origin(models.TextChoices):
    """Where a run was asked for; follow-ups and runs of code have none."""

    NONE = "", "nowhere"
    ADMIN = "admin", "the admin"
    COMMAND = "command", "the command line"


class Run(models.Model):
    """One execution of a registered operation.

    ``params`` are the raw values of the request, validated whenever the operation is built from them.
    ``version`` is the fingerprint of the declaration: a run resumes only with the one it began with.
    """

    operation = models.CharField(max_length=64)
    model = models.CharField(max_length=64)
    columns = models.JSONField(help_text="The columns that the run writes.")
    types = models.JSONField(
        default=dict, db_default={}, help_text="Column types when the run was created; empty where unknown."
    )
    params = models.JSONField(default=dict)
    scope = models.JSONField(default=dict)
    version = models.CharField(max_length=64)
    as_of = models.DateTimeField()
    performed_by = models.CharField(max_length=150)
    origin = models.CharField(max_length=16, choices=Origin, default=Origin.NONE, db_default="", blank=True)
    state = models.CharField(max_length=32, choices=State, default=State.QUEUED)
    sweep = models.PositiveSmallIntegerField(default=1)
    total = models.BigIntegerField(help_text="Rows that needed the change when the run was created.")
    batch_size = models.PositiveIntegerField(null=True, help_text="Rows per batch, where fixed.")
    max_rate = models.PositiveIntegerField(null=True, help_text="Rows per second at most, where limited.")
    workers = models.PositiveSmallIntegerField(
        null=True, help_text="Number of workers for the run; null: it runs in a terminal."
    )
    max_failures = models.PositiveIntegerField(
        null=True, help_text="More failed rows than this fail the run."
    )
    held_until = models.DateTimeField(
        null=True, help_text="No batch begins before this time; see ops.health."
    )
    held_for = models.DurationField(
        null=True,
        help_text="Length of the hold: a held_until farther from now is of a clock that was set back.",
    )
    held_reason = models.TextField(blank=True, db_default="")
    holds = models.JSONField(
        default=list, db_default=[], help_text="The newest holds: since when, until when, and why."
    )
    ignored_health = models.JSONField(
        default=list, db_default=[], help_text="Indicators that do not hold the run."
    )
    silent_health = models.JSONField(
        default=dict, db_default={}, help_text="Indicators that cannot be checked, and why."
    )
    without_backup = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The requirement of a fresh, verified backup was overridden.",
    )
    follows = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followed_by")
    error = models.TextField(blank=True)
    error_code = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Its SQLSTATE, or the name of its exception.",
    )
    checks = models.JSONField(default=list, help_text="Results of the checks at the end of the run.")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    working_since = models.DateTimeField(
        null=True, help_text="When it was last taken up, while it is running."
    )
    worked = models.DurationField(
        default=timedelta, db_default=timedelta(), help_text="How long it was running before that."
    )
    finished_at = models.DateTimeField(null=True)

    work_timer: WorkTimer | None = None  # of this process, while it works on the run

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="ops_run_state_known"),
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.operation})"
