"""The admin of runs, exports and the audit log, and base classes for the admin of any model."""

from ops.admin import auditlog, exports, run_panels, runs, server_panels

__all__ = ["auditlog", "exports", "run_panels", "runs", "server_panels"]
