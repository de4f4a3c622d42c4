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
    help = "Make N synthetic cards for trials and benchmarks: the same ones for the same seed."
    needs_direct_connection = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "count", type=positive_integer, metavar="N", help="How many cards there shall be."
        )
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="Other seeds, other cards (1).")
        parser.add_argument(
            "--pack",
            type=parse_pack_name,
            default="synthetic",
            metavar="NAME",
            help="Their pack (synthetic).",
        )
        add_without_rarity_v2_flag(parser)
        add_performed_by_argument(parser)

    def handle(self, **options: Any) -> None:
        without = options["without_rarity_v2"]
        rows = synthetic.iter_cards(
            options["count"], options["seed"], options["pack"], without_rarity_v2=without
        )
        signature = AuditContext("generate_cards", options["performed_by"], {"seed": options["seed"]})
        with status_line() as say, StagingTable(Card, synthetic.COLUMNS) as staging:
            staging.copy_in(iter_with_progress(rows, say))
            say(f"Merging {staging.row_count:,} rows")
            merge = Upsert(staging, "card_id")
            counts = bulk_load.execute(merge, signature, update=False, insert_context=insert_context(without))
        self.write_lines([report.generation_summary(counts)])


def parse_pack_name(text: str) -> str:
    """The card ids begin with it, and must stay within their column."""
    if not text.strip() or len(text) > _MAX_PACK_NAME_LENGTH:
        raise ArgumentTypeError(f"{text!r} is no pack name: 1 to {_MAX_PACK_NAME_LENGTH} characters")
    try:
        return clean_pack_id(text)
    except BadValue as exc:
        raise ArgumentTypeError(f"{text!r} is no pack name: it {exc}") from exc
