"""The engine in the admin: runs and the audit log, and what the admin of any model takes from here."""

from ops.admin import auditlog, runs

__all__ = ["auditlog", "runs"]
