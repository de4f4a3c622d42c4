from ops.models.audit import AuditLog
from ops.models.backup import Backup
from ops.models.claim import Claim
from ops.models.export import Export, ExportState
from ops.models.failure import Failure
from ops.models.followup import FollowUp
from ops.models.key import Key
from ops.models.lane import Lane
from ops.models.run import Run

__all__ = [
    "AuditLog",
    "Backup",
    "Claim",
    "Export",
    "ExportState",
    "Failure",
    "FollowUp",
    "Key",
    "Lane",
    "Run",
]
