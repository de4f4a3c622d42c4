"""What the guide says of commands, services and pages that it does not run."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.guide.reader import GUIDE
from tests.guide.world import ROOT

EVERYWHERE = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
EVERYWHERE |= {"--force-color", "--skip-checks"}
PAGES = sorted(GUIDE.glob("*.md"))


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Its own, and those of its verbs."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from options(verb)
        yield from (option for option in action.option_strings if option.startswith("--"))


def test_the_page_of_the_commands_has_every_command_and_every_option_and_no_other() -> None:
    page = (GUIDE / "commands.md").read_text()
    ours = [(name, app) for name, app in get_commands().items() if app in ("cards", "ops", "kyndo")]
    parsers = [
        load_command_class(app, name).create_parser("manage.py", name)
        for name, app in ours
        if name not in ("operate", "rqworker")  # whose options are those of operations, and RQ's
    ]
    told = set(re.findall(r"^\|[^|]*\| `([a-z_0-9]+)", page, re.MULTILINE))
    assert told == {name for name, _ in ours}
    theirs = {option for parser in parsers for option in options(parser)} - EVERYWHERE
    assert set(re.findall(r"--[a-z][a-z0-9-]+", page)) - {"--help"} == theirs


def test_the_services_that_the_guide_stops_and_starts_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    text = "".join(page.read_text() for page in PAGES)
    lines = re.findall(r"docker compose (?:stop|start|exec|up --detach) ([a-z ]+)", text)
    named = {line.split()[0] if " python" in line else name for line in lines for name in line.split()}
    assert named
    assert named - {"python", "manage"} <= set(services)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_of_the_guide_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, anchor
