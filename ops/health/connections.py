from __future__ import annotations

from ops.health.indicator import Indicator, Unhealthy, fetch_rows

# Without pg_monitor backend_type is NULL, and the few background workers of a database count as clients.
_CONNECTIONS = """
SELECT count(*), current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0)
FROM pg_stat_activity WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
"""


class Connections(Indicator):
    """Few connections are left: players are about to be refused."""

    name = "connections"

    def ask(self) -> Unhealthy | None:
        [(used, usable)] = fetch_rows(_CONNECTIONS)
        if used * 100 > usable * self.limits.connections_percent:
            return self.sick(
                f"{used} of {usable} connections are used (limit {self.limits.connections_percent} %)"
            )
        return None
