"""The engine in the admin: runs, exports, the audit log, and what the admin of any model takes from here."""

from ops.admin import auditlog, exports, runs

__all__ = ["auditlog", "exports", "runs"]
