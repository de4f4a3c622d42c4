from ops.management.base import OperationCommand


class Command(OperationCommand):
    operation = "render_thumbnails"
