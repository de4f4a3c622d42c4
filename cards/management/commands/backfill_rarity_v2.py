from ops.management.base import OperationCommand


class Command(OperationCommand):
    operation = "backfill_rarity_v2"
