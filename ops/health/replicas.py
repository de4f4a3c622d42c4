from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout

# Not pg_receivewal and base backups, which replay nothing. PostgreSQL measures ``replay_lag`` when the
# replica replays: where replay has stopped, only the distance in WAL shows it.
_REPLICAS = """
SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text),
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint >> 20,
    coalesce(extract(epoch FROM replay_lag), 0)
FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL
"""


class ReplicaLag(Indicator):
    """A replica is behind: its readers see old rows, and a failover would lose or delay the newest."""

    name = "replica_lag"
    role = "pg_monitor"

    def check(self) -> Unhealthy | None:
        limits = self.limits
        for replica, megabytes, seconds in fetch_with_timeout(_REPLICAS):
            if megabytes > limits.replica_lag_mb:
                return self.unhealthy(
                    f"{replica} is {megabytes:,} MB behind (limit {limits.replica_lag_mb:,})"
                )
            if seconds > limits.replica_lag_seconds:
                return self.unhealthy(
                    f"{replica} is {seconds:.0f} s behind (limit {limits.replica_lag_seconds})"
                )
        return None
