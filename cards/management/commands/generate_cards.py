from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from cards.management.loading import add_without_rarity_v2, creating
from cards.models import Card
from cards.packs import report, synthetic
from cards.packs.catalogue import pack_id
from cards.packs.errors import BadValue
from cards.packs.progress import counted
from ops import upsert
from ops.management.arguments import add_person, positive
from ops.management.base import OpsCommand
from ops.report.status import status
from ops.sql.merge import Merge, Signature
from ops.sql.staging import Staging

_LONGEST_NAME = 64


class Command(OpsCommand):
    help = "Make N synthetic cards for trials and benchmarks: the same ones for the same seed."
    goes_direct = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=positive, metavar="N", help="How many cards there shall be.")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="Other seeds, other cards (1).")
        parser.add_argument(
            "--pack", type=pack_name, default="synthetic", metavar="NAME", help="Their pack (synthetic)."
        )
        add_without_rarity_v2(parser)
        add_person(parser)

    def handle(self, **options: Any) -> None:
        without = options["without_rarity_v2"]
        rows = synthetic.cards(options["count"], options["seed"], options["pack"], without_rarity_v2=without)
        signature = Signature("generate_cards", options["performed_by"], {"seed": options["seed"]})
        with status() as say, Staging(Card, synthetic.COLUMNS) as staging:
            staging.fill(counted(rows, say))
            say(f"Merging {staging.total:,} rows")
            merge = Merge(staging, "card_id")
            counts = upsert.execute(merge, signature, change=False, creating=creating(without))
        self.tell([report.generated(counts)])


def pack_name(text: str) -> str:
    """The card ids begin with it, and must stay within their column."""
    if not text.strip() or len(text) > _LONGEST_NAME:
        raise ArgumentTypeError(f"{text!r} is no pack name: 1 to {_LONGEST_NAME} characters")
    try:
        return pack_id(text)
    except BadValue as exc:
        raise ArgumentTypeError(f"{text!r} is no pack name: it {exc}") from exc
