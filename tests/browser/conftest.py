"""A headless Chromium, the site that it visits, and a worker, all on the test's database."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from ops.queue.liveness import count_live_workers
from tests.conftest import Manage
from tests.ops.running import wait_until
from tests.processes import kill_tree

# Without a sandbox, since containers forbid one: it only visits the site under test.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a browser test once more, as Playwright's own runner does in CI; the summary names it.

    A browser shares two cores with the other tests, and now and then misses a key.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@contextmanager
def loading(page: Page) -> Iterator[None]:
    """Wait, at the end, until the page that the block leads to is loaded: its scripts hear no key before."""
    with page.expect_event("load"):
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium; .ci/run installs it")
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright's loop runs in this thread, beside the test that asks the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, live_server: LiveServer) -> Iterator[Page]:
    """Return a page, signed in as Ada.

    Any error on its console fails the test, blocked content included, and any request to another host.
    """
    User.objects.create_superuser("ada", password="lovelace")
    context = chromium.new_context(base_url=live_server.url)
    page = context.new_page()
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    local = (f"{live_server.url}/", "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(local) else errors.append(asked.url))
    page.goto("/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("lovelace")
    with loading(page):
        page.get_by_role("button", name="Log in").click()
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def worker(manage: Manage, redis_server: "redis.Redis", tmp_path: Path) -> Iterator[None]:
    """One worker, a process of its own, that listens."""
    with (tmp_path / "worker.log").open("w") as log:
        process = manage.popen("rqworker", "default", stdout=log, stderr=log)
    try:
        wait_until(count_live_workers)
        yield
    finally:
        kill_tree(process.pid)
        process.wait()
