from django.contrib.auth.models import Group, Permission
from django.db import migrations
from django.db.models import Q

from kyndo.roles import create_groups
from ops.permissions import create_permissions

_NEW = Q(codename__in=["view_queue", "manage_queue", "view_preflight", "view_statistics"]) | Q(
    codename__in=["view_backup", "view_columnchangeevent"]
)


def create(apps, schema_editor):
    """Create the group, and let the operators of an older site see what is new: the queue and the server."""
    using = schema_editor.connection.alias
    create_permissions(using)
    create_groups(using)
    for group in Group.objects.using(using).filter(name="operators"):
        group.permissions.add(*Permission.objects.using(using).filter(_NEW, content_type__app_label="ops"))


class Migration(migrations.Migration):
    """The group approvers. Unapplying keeps it: it may be in use."""

    dependencies = [("kyndo", "0002_login_attempts")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
