"""The pair of servers that a checkout runs on, except where the environment names others."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.server import LocalServer
from kyndo.localservices.state import read_state
from kyndo.localservices.valkey import LocalValkey


class LocalServices:
    """``environ`` may name servers in DATABASE_URL and REDIS_URL: those are used, and not ours to manage."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.environ = environ
        self.servers: dict[str, LocalServer] = {
            "DATABASE_URL": LocalPostgres(root),
            "REDIS_URL": LocalValkey(root),
        }

    @property
    def managed(self) -> dict[str, LocalServer]:
        return {name: server for name, server in self.servers.items() if not self.get_external_url(name)}

    def get_external_url(self, variable: str) -> str | None:
        """Return the URL of somebody else's server. One of ours, put there by ``env``, is still ours."""
        url = self.environ.get(variable)
        state = read_state(self.servers[variable].state_file)
        return None if not url or (state and urlsplit(url).password == state.password) else url

    def remove(self) -> None:
        """Stop the servers and delete their data, those of test sessions and benchmarks included."""
        for root in (self.root, *self.root.glob("*/")):
            for server in (LocalPostgres(root, 16), LocalPostgres(root, 18), LocalValkey(root)):
                server.remove()

    def get_urls(self) -> dict[str, str]:
        return {name: self.get_external_url(name) or server.url for name, server in self.servers.items()}
