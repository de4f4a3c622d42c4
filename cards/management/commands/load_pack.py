from typing import Any

from django.core.management.base import CommandParser

from cards.management.loading import LoadCommand, add_without_rarity_v2_flag
from cards.packs.catalogue import card_schema
from cards.packs.illustrations import Illustrations
from ops.management.arguments import parse_path


class Command(LoadCommand):
    name = "load_pack"
    help = (
        "Load a pack of cards from JSON or CSV in one transaction; without --execute, preview it. Existing"
        " cards keep the values that the pack does not give. Keys without a column are merged into metadata."
        " In CSV an empty cell is a missing value, and tags are separated by ; or |."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=parse_path, metavar="FILE", help="JSON, JSON Lines or CSV, in UTF-8."
        )
        add_without_rarity_v2_flag(parser)
        super().add_arguments(parser)

    def handle(self, **options: Any) -> None:
        illustrations = Illustrations(options["file"].parent)
        schema = card_schema(illustrations, without_rarity_v2=options["without_rarity_v2"])
        self.load(
            options["file"],
            schema,
            options,
            before=illustrations.store_found,
            remarks=illustrations.missing_remarks,
        )
