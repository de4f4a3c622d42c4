"""The files of the catalogue's export."""

from __future__ import annotations

from django.db import models

from cards.models import Asset, Card, PresentationRule
from ops.export.part import Part, audit_part
from ops.models import AuditLog

LAST = 1000
NAMES = ("presentation_rules", "cards", "assets", "audit_logs")  # in the order in which they are loaded


def catalogue(audit_last: int | None = LAST) -> list[Part]:
    """Everything, the audit log or the last of it included."""
    return [
        Part("cards", _all(Card)),
        Part("presentation_rules", _all(PresentationRule)),
        Part("assets", _all(Asset)),
        audit_part(AuditLog.objects.all(), audit_last),
    ]


def _all(model: type[models.Model]) -> models.QuerySet[models.Model]:
    return model._default_manager.order_by("pk")
