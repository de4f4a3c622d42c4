from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_rows

# Not pg_receivewal and base backups, which replay nothing. ``replay_lag`` is measured when the replica
# replays: of one whose replay stands still only the distance tells.
_REPLICAS = """
SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text),
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint >> 20,
    coalesce(extract(epoch FROM replay_lag), 0)
FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL
"""


class ReplicaLag(Indicator):
    """A replica is behind: whoever reads there reads the past, and a failover would lose or wait for it."""

    name = "replica_lag"
    role = "pg_monitor"

    def ask(self) -> Unhealthy | None:
        for replica, behind, lag in fetch_rows(_REPLICAS):
            if behind > self.limits.replica_lag_mb:
                return self.sick(f"{replica} is {behind:,} MB behind (limit {self.limits.replica_lag_mb:,})")
            if lag > self.limits.replica_lag_seconds:
                return self.sick(f"{replica} is {lag:.0f} s behind (limit {self.limits.replica_lag_seconds})")
        return None
