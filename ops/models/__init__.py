from ops.models.audit import AuditLog
from ops.models.run import Run

__all__ = ["AuditLog", "Run"]
