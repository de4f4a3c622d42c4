"""All indicators, in the order in which they are checked."""

from __future__ import annotations

from ops.health.archiving import Archiving
from ops.health.connections import Connections
from ops.health.disk import DatabaseDisk
from ops.health.indicator import Indicator
from ops.health.lock_waiters import LockWaiters
from ops.health.maintenance import Maintenance
from ops.health.player_latency import PlayerLatency
from ops.health.replicas import ReplicaLag

INDICATORS: tuple[type[Indicator], ...] = (
    Maintenance,
    ReplicaLag,
    Archiving,
    Connections,
    DatabaseDisk,
    LockWaiters,
    PlayerLatency,
)
INDICATOR_NAMES = [indicator.name for indicator in INDICATORS]
