from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_with_timeout

# Without pg_monitor backend_type is NULL, and the few background workers of a database count as clients.
_CONNECTIONS = """
SELECT count(*), current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)
FROM pg_stat_activity WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
"""


class Connections(Indicator):
    """Nearly all connections are in use: soon the server refuses players."""

    name = "connections"

    def check(self) -> Unhealthy | None:
        [(used, usable)] = fetch_with_timeout(_CONNECTIONS)
        if used * 100 > usable * self.limits.connections_percent:
            return self.unhealthy(
                f"{used} of {usable} connections used (limit {self.limits.connections_percent} %)"
            )
        return None
