"""A backup: a file with a dump of the database, and what it holds."""

from pathlib import Path

from django.db import models


class Backup(models.Model):
    """``counts`` are the rows of each table as the dump's own snapshot saw them.

    The same facts lie beside the file as its record (see ops.backups.manifest).
    """

    path = models.TextField()
    database = models.CharField(max_length=63)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    started_at = models.DateTimeField(db_index=True, help_text="The time of what it holds.")
    duration = models.DurationField()
    server_version = models.CharField(max_length=64)
    program_version = models.CharField(max_length=64, help_text="That of the pg_dump that made it.")
    counts = models.JSONField(help_text="Rows by table.")
    properties = models.JSONField(
        null=True, help_text="What the database has of its own: owner, locale, settings, grants."
    )
    verified_at = models.DateTimeField(
        null=True, help_text="When it was restored last, and had all its rows."
    )

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return self.path

    @property
    def file(self) -> Path:
        return Path(self.path)

    @property
    def rows(self) -> int:
        return sum(self.counts.values())
