"""The admin of runs, exports and the audit log, and base classes for the admin of any model."""

from ops.admin.audit import auditlog
from ops.admin.dashboard import run_panels, server_panels
from ops.admin.runs import exports

# Not as ``runs``, which is the package.
from ops.admin.runs import runs as run_pages

__all__ = ["auditlog", "exports", "run_pages", "run_panels", "server_panels"]
