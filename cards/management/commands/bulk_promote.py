from ops.management.base import OperationCommand


class Command(OperationCommand):
    operation = "bulk_promote"
    flags = {"from_rarity": "--from", "to_rarity": "--to"}
