"""The guide names commands, options and services that exist, and every page links to pages that do."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.guide.reader import GUIDE
from tests.guide.world import ROOT

GLOBAL_OPTIONS = {
    "--help",
    "--version",
    "--verbosity",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--no-color",
}
GLOBAL_OPTIONS |= {"--force-color", "--skip-checks"}
GUIDE_PAGES = sorted(GUIDE.glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *GUIDE_PAGES]


def iter_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of the parser and of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from iter_options(subparser)
        yield from (option for option in action.option_strings if option.startswith("--"))


def test_the_commands_page_lists_exactly_the_commands_and_options() -> None:
    page = (GUIDE / "commands.md").read_text()
    commands = [(name, app) for name, app in get_commands().items() if app in ("cards", "ops", "kyndo")]
    parsers = [
        load_command_class(app, name).create_parser("manage.py", name)
        for name, app in commands
        if name not in ("operate", "rqworker")  # whose options are those of operations, and RQ's
    ]
    listed = set(re.findall(r"^\|[^|]*\| `([a-z_0-9]+)", page, re.MULTILINE))
    assert listed == {name for name, _ in commands}
    expected = {option for parser in parsers for option in iter_options(parser)} - GLOBAL_OPTIONS
    assert set(re.findall(r"--[a-z][a-z0-9-]+", page)) - {"--help"} == expected


def test_the_services_of_the_guide_are_in_the_compose_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    text = "".join(page.read_text() for page in GUIDE_PAGES)
    matches = re.findall(r"docker compose (?:stop|start|exec|up --detach) ([a-z ]+)", text)
    named = {match.split()[0] if " python" in match else name for match in matches for name in match.split()}
    assert named
    assert named - {"python", "manage"} <= set(services)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if not anchor:  # it may be a picture
            continue
        headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, anchor
