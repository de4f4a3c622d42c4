"""A backup: a file with a dump of the database, and its contents."""

from pathlib import Path

from django.db import models


class Backup(models.Model):
    """``counts`` are the rows of each table in the snapshot of the dump.

    A manifest beside the file has the same fields (see `ops.backups.manifest`).
    """

    path = models.TextField()
    database = models.CharField(max_length=63)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    started_at = models.DateTimeField(db_index=True, help_text="The time of the data in it.")
    duration = models.DurationField()
    server_version = models.CharField(max_length=64)
    program_version = models.CharField(max_length=64, help_text="The version of pg_dump that wrote it.")
    counts = models.JSONField(help_text="Rows by table.")
    properties = models.JSONField(null=True, help_text="Owner, locale, settings and grants of the database.")
    verified_at = models.DateTimeField(
        null=True, help_text="When a restore last verified that it has all its rows."
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
