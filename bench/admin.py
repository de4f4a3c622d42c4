"""How fast the pages of the admin are, beside those of an earlier commit.

``python -m bench.admin --help``. Two copies of the project, this tree and the commit, each with a database
of its own with the same cards and audit rows, are served as ``make serve`` does. A client that has logged in
asks both for the same page, one after the other.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median, quantiles
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psycopg

from bench.checkout import Checkout
from bench.engine.__main__ import benchmark_server
from bench.engine.databases import ROOT, BenchmarkDatabases
from bench.engine.results import describe_machine
from kyndo.localservices.ports import find_free_port
from kyndo.localservices.valkey import LocalValkey

NOW, BEFORE = "now", "before"
_NAME, _PASSWORD = "bench", "benchmark-only"
_EDITS = 50_000
_START_TIMEOUT_S = 60
_ENVIRONMENT = {"DEBUG": "on", "ALLOWED_HOSTS": "127.0.0.1"}  # DEBUG as `make serve` has it
# The audit rows of one run of all cards, again for runs that differ in their number only.
_COPY_RUN_SQL = """
INSERT INTO ops_run SELECT (jsonb_populate_record(r, jsonb_build_object('id', r.id + {n}))).*
    FROM ops_run r WHERE id = {run};
INSERT INTO audit_logs (run_id, action, object_type, object_id, performed_by, changes, created_at)
    SELECT run_id + {n}, action, object_type, object_id, performed_by, changes,
        created_at + {n} * interval '1 hour'
    FROM audit_logs WHERE run_id = {run};
"""
_EDITS_SQL = """
INSERT INTO audit_logs (action, object_type, object_id, performed_by, changes, created_at)
    SELECT 'edit', 'cards.Card', (1 + n * 7919 % {cards})::text, 'editor-' || n % 20,
        jsonb_build_object('title', jsonb_build_object('old', 'Title ' || n, 'new', 'Title ' || n + 1)),
        now() - n * interval '1 minute'
    FROM generate_series(1, {edits}) n;
SELECT setval(pg_get_serial_sequence('ops_run', 'id'), (SELECT max(id) FROM ops_run));
"""


@dataclass(frozen=True)
class Page:
    """A page by its path; ``before`` is that of the earlier commit, "" if it had no such page."""

    path: str
    before: str | None = None


def list_pages(card: int, pack: str, run: int) -> dict[str, Page]:
    """Return the pages by name. ``card`` and ``run`` are keys; many cards are in ``pack``."""
    cards, log = "/admin/cards/card/", "/admin/ops/auditlog/"

    def search(text: str) -> str:
        return f"{cards}?{urlencode({'q': text})}"

    return {
        "dashboard": Page("/admin/"),
        "cards": Page(cards),
        "cards, page 200": Page(f"{cards}?p=200"),
        "cards of a rarity": Page(f"{cards}?rarity__exact=legendary"),
        "cards of a pack": Page(f"{cards}?pack_id__exact={pack}"),
        "cards without rarity_v2": Page(f"{cards}?rarity_v2__isnull=True"),
        "search, many hits": Page(search("a")),
        "search, an accent": Page(search("cóndor")),
        "search, one hit": Page(search(f"card-{card}")),
        "search, no hit": Page(search("xyzzy-nothing")),
        "search in a rarity": Page(search("cóndor") + "&rarity__exact=legendary"),
        "cards as a grid": Page(f"{cards}?layout=grid", ""),
        "cards with a tag": Page(f"{cards}?tags__contains=tangara", ""),
        "cards with a tag and a rarity": Page(f"{cards}?tags__contains=tangara&rarity__exact=legendary", ""),
        "cards without thumbnail": Page(f"{cards}?thumbnail=none", ""),
        "cards that a person changed last": Page(f"{cards}?changed_by=editor-7", ""),
        "a card": Page(f"{cards}{card}/change/"),
        "history of a card": Page(f"{cards}{card}/history/"),
        "confirmation": Page(
            f"{cards}operate/bulk_promote/?across=1&with-from_rarity=common&with-to_rarity=rare&answered=1"
        ),
        "audit log": Page(log),
        "audit log of a card": Page(f"{log}?object={card}", f"{log}?q={card}"),
        "audit log of a person": Page(f"{log}?person=editor-7", ""),
        "audit log of a run": Page(f"{log}?run={run}", ""),
        "rules": Page("/admin/cards/presentationrule/"),
        "assets": Page("/admin/cards/asset/"),
        "runs": Page("/admin/ops/run/"),
        "a run": Page(f"/admin/ops/run/{run}/change/"),
        "queue": Page("/admin/queue/", ""),
    }


class Site:
    """One copy, served on ``port``, and a client that has logged in."""

    def __init__(self, checkout: Checkout, port: int) -> None:
        self.checkout, self.port = checkout, port
        self._client: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the copy in the block."""
        with (self.checkout.folder / "site.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"],
                cwd=self.checkout.folder, env=self.checkout.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self._wait_for(process)
            self._log_in()
            yield
        finally:
            process.terminate()
            process.wait()

    def fetch(self, path: str, data: dict[str, str] | None = None) -> str:
        """Return the page. Raises SystemExit for any status but 200."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with self._client.open(url, urlencode(data).encode() if data else None) as response:
                return str(response.read().decode())
        except HTTPError as exc:
            log = (self.checkout.folder / "site.log").read_text()
            raise SystemExit(f"{log[-3000:]}\n{path} answered {exc.code}") from exc

    def time_page(self, path: str) -> float:
        """Return the milliseconds until the whole page is there."""
        began = time.perf_counter()
        self.fetch(path)
        return (time.perf_counter() - began) * 1000

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(URLError):
                self.fetch("/admin/login/")
                return
            time.sleep(0.2)
        raise SystemExit(f"The site did not start:\n{(self.checkout.folder / 'site.log').read_text()}")

    def _log_in(self) -> None:
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.fetch("/admin/login/"))
        form = {"username": _NAME, "password": _PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        if "logout" not in self.fetch("/admin/login/", form):
            raise SystemExit("The client could not log in")


def fill(checkout: Checkout, cards: int, audit_rows: int) -> int:
    """Fill the database with cards, and with audit rows of runs and of edits; return the newest run."""
    checkout.environment["DJANGO_SUPERUSER_PASSWORD"] = _PASSWORD
    checkout.manage("migrate", "--verbosity", "0")
    checkout.manage("createsuperuser", "--noinput", "--username", _NAME, "--email", "bench@example.com")
    checkout.manage("load_rules", "--execute")
    checkout.manage("generate_cards", str(cards), "--without-rarity-v2")
    checkout.manage("backfill_rarity_v2", "--execute")
    with psycopg.connect(checkout.url, autocommit=True) as connection:
        [(run,)] = connection.execute("SELECT max(id) FROM ops_run").fetchall()
        copies = max(0, audit_rows // cards - 1)
        for n in range(1, copies + 1):
            connection.execute(_COPY_RUN_SQL.format(n=n, run=run))
        connection.execute(_EDITS_SQL.format(cards=cards, edits=_EDITS))
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute("CHECKPOINT")
    return int(run) + copies


def measure(sites: dict[str, Site], pages: dict[str, Page], requests: int) -> Iterator[str]:
    """Ask for each page from each site in turns; yield the lines of the report."""
    for name, page in pages.items():
        paths = {NOW: page.path, BEFORE: page.path if page.before is None else page.before}
        asked = {build: site for build, site in sites.items() if paths[build]}
        times: dict[str, list[float]] = {build: [] for build in asked}
        for number in range(-2, requests):  # The first two load modules and connect.
            for build, site in asked.items():
                took = site.time_page(paths[build])
                if number >= 0:
                    times[build].append(took)
        yield f"| {name} | {format_times(times)} |"


def format_times(times: dict[str, list[float]]) -> str:
    """Return median and p95 of now, those of before, and the ratio of the two p95."""
    cells, p95 = [], {}
    for build in (NOW, BEFORE):
        if build not in times:
            cells += ["", ""]
            continue
        p95[build] = quantiles(times[build], n=20, method="inclusive")[-1]
        cells += [f"{median(times[build]):,.0f}", f"{p95[build]:,.0f}"]
    cells.append(f"{p95[NOW] / p95[BEFORE]:.2f}" if BEFORE in p95 else "")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.admin", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="The earlier commit (default: none).")
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--audit-rows", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=40, help="Of each page and site (default: 40).")
    parser.add_argument("--server", help="URL of a database on an existing server.")
    options = parser.parse_args()
    commits = {NOW: "", **({BEFORE: options.against} if options.against else {})}
    with ExitStack() as stack:
        server = stack.enter_context(benchmark_server(options.server))
        valkey = LocalValkey(ROOT / "var" / "bench")
        stack.callback(valkey.remove)
        valkey.start()
        databases, sites, run = BenchmarkDatabases(server), {}, 0
        stack.callback(databases.close)
        for build, commit in commits.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            checkout = Checkout(folder, databases.create_empty(build), commit)
            checkout.environment |= {"REDIS_URL": valkey.url, **_ENVIRONMENT}
            print(f"filling the database of {build} ...", file=sys.stderr, flush=True)
            run = fill(checkout, options.cards, options.audit_rows)
            sites[build] = Site(checkout, find_free_port(8100 + len(sites)))
            stack.enter_context(sites[build].serving())
        with psycopg.connect(sites[NOW].checkout.url) as connection:
            query = "SELECT id, pack_id FROM cards WHERE id >= %s ORDER BY id LIMIT 1"
            [(card, pack)] = connection.execute(query, [options.cards // 2]).fetchall()
        print("| page | now, ms | p95 | before | p95 | p95 now of before |\n|---|---:|---:|---:|---:|---:|")
        for line in measure(sites, list_pages(card, pack, run), options.requests):
            print(line, flush=True)
        rows = f"{options.cards:,} cards, {options.audit_rows:,} audit rows"
        print(f"\n{rows}, {options.requests} requests of each page; {describe_machine(server)}.")
        print(f"Before: {options.against}." if options.against else "")


if __name__ == "__main__":
    main()
