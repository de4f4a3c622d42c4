from ops.models.approval import Approval, Decision
from ops.models.audit import AuditLog
from ops.models.backup import Backup
from ops.models.change_set import ChangeSet, StagedChange
from ops.models.claim import Claim
from ops.models.column_change import ColumnChangeEvent, ColumnWriter
from ops.models.export import Export, ExportState
from ops.models.failure import Failure
from ops.models.followup import FollowUp
from ops.models.key import Key
from ops.models.lane import Lane
from ops.models.run import Origin, Run
from ops.models.sample import Sample
from ops.models.saved_view import SavedView
from ops.models.upload import Upload, UploadState

__all__ = [
    "Approval",
    "AuditLog",
    "Backup",
    "ChangeSet",
    "Claim",
    "ColumnChangeEvent",
    "ColumnWriter",
    "Decision",
    "Export",
    "ExportState",
    "Failure",
    "FollowUp",
    "Key",
    "Lane",
    "Origin",
    "Run",
    "Sample",
    "SavedView",
    "StagedChange",
    "Upload",
    "UploadState",
]
