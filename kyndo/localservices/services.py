"""The two servers that a checkout uses, unless the environment names others."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from kyndo.localservices.postgres import LocalPostgres
from kyndo.localservices.server import LocalServer
from kyndo.localservices.state import read_state
from kyndo.localservices.valkey import LocalValkey


class LocalServices:
    """Both servers. Those that ``environ`` names in DATABASE_URL or REDIS_URL are used but not managed."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.environ = environ
        self.servers: dict[str, LocalServer] = {
            "DATABASE_URL": LocalPostgres(root),
            "REDIS_URL": LocalValkey(root),
        }

    @property
    def managed(self) -> dict[str, LocalServer]:
        """The servers that are not replaced by external ones, by variable."""
        return {name: server for name, server in self.servers.items() if not self.get_external_url(name)}

    def get_external_url(self, variable: str) -> str | None:
        """Return the URL of an external server; None for a managed one, also if ``env`` exported its URL."""
        url = self.environ.get(variable)
        state = read_state(self.servers[variable].state_file)
        return None if not url or (state and urlsplit(url).password == state.password) else url

    def remove(self) -> None:
        """Stop the servers and delete their data, including those of test sessions and benchmarks."""
        for root in (self.root, *self.root.glob("*/")):
            for server in (LocalPostgres(root, 16), LocalPostgres(root, 18), LocalValkey(root)):
                server.remove()

    def get_urls(self) -> dict[str, str]:
        """Return the URLs in use, external or local, by variable."""
        return {name: self.get_external_url(name) or server.url for name, server in self.servers.items()}
