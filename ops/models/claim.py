"""A claim: a column that a run writes; no second run may write it at the same time."""

from django.db import models

from ops.models.run import Run


class Claim(models.Model):
    run = models.ForeignKey(Run, models.CASCADE, related_name="claims")
    model = models.CharField(max_length=64)
    column = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "column"], name="ops_claim_model_column_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.model}.{self.column} of {self.run}"
