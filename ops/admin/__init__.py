"""The admin of runs, exports and the audit log, and base classes for the admin of any model."""

from ops.admin.audit import auditlog
from ops.admin.dashboard import run_panels, server_panels
from ops.admin.runs import exports, runs

__all__ = ["auditlog", "exports", "run_panels", "runs", "server_panels"]
