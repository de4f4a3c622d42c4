from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

import cards
from cards.management.loading import LoadCommand
from cards.packs.catalogue import rule_schema
from ops.management.arguments import parse_path

_DEFAULT_RULES_FILE = Path(cards.__path__[0]) / "sample" / "presentation_rules.json"


class Command(LoadCommand):
    name = "load_rules"
    help = "Load the presentation rules: frame, glow and badge of the cards of each rarity."

    def add_arguments(self, parser: CommandParser) -> None:
        help_text = "JSON or CSV, in UTF-8 (default: the four standard rarities)."
        parser.add_argument("file", type=parse_path, nargs="?", metavar="FILE", help=help_text)
        super().add_arguments(parser)

    def handle(self, **options: Any) -> None:
        self.load(options["file"] or _DEFAULT_RULES_FILE, rule_schema(), options)
