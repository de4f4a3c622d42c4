from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from cards.management.loading import add_without_rarity_v2_flag, insert_context
from cards.models import Card
from cards.packs import report, synthetic
from cards.packs.catalogue import clean_pack_id
from cards.packs.errors import BadValue
from cards.packs.progress import iter_with_progress
from ops import bulk_load
from ops.management.arguments import add_performed_by_argument, positive_integer
from ops.management.base import OpsCommand
from ops.report.status import status_line
from ops.sql.changes import AuditContext
from ops.sql.staging import StagingTable
from ops.sql.upsert import Upsert

_MAX_PACK_NAME_LENGTH = 64


class Command(OpsCommand):
    help = "Create N synthetic cards for tests and benchmarks; the same seed gives the same cards."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "count", type=positive_integer, metavar="N", help="Number of cards with this seed and pack."
        )
        parser.add_argument(
            "--seed", type=int, default=1, metavar="S", help="Seed of the random values (default: 1)."
        )
        parser.add_argument(
            "--pack",
            type=parse_pack_name,
            default="synthetic",
            metavar="NAME",
            help="Pack of the cards (default: synthetic).",
        )
        add_without_rarity_v2_flag(parser)
        add_performed_by_argument(parser)

    def handle(self, **options: Any) -> None:
        without = options["without_rarity_v2"]
        rows = synthetic.iter_cards(
            options["count"], options["seed"], options["pack"], without_rarity_v2=without
        )
        audit_context = AuditContext("generate_cards", options["performed_by"], {"seed": options["seed"]})
        with status_line() as show_status, StagingTable(Card, synthetic.COLUMNS) as staging:
            staging.copy_in(iter_with_progress(rows, show_status))
            show_status(f"Merging {staging.row_count:,} rows")
            upsert = Upsert(staging, "card_id")
            counts = bulk_load.execute(
                upsert, audit_context, update=False, insert_context=insert_context(without)
            )
        self.write_lines([report.generation_summary(counts)])


def parse_pack_name(text: str) -> str:
    """Parse a pack name, for argparse; its length is limited, since card ids begin with it."""
    if not text.strip() or len(text) > _MAX_PACK_NAME_LENGTH:
        raise ArgumentTypeError(f"{text!r} is not a pack name: type 1 to {_MAX_PACK_NAME_LENGTH} characters")
    try:
        return clean_pack_id(text)
    except BadValue as exc:
        raise ArgumentTypeError(f"{text!r} is not a pack name: it {exc}") from exc
