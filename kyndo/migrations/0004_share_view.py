from django.contrib.auth.models import Group, Permission
from django.db import migrations

from ops.permissions import create_permissions


def grant(apps, schema_editor):
    using = schema_editor.connection.alias
    create_permissions(using)
    for group in Group.objects.using(using).filter(name__in=["editors", "operators"]):
        group.permissions.add(*Permission.objects.using(using).filter(codename="share_view"))


class Migration(migrations.Migration):
    """Let the editors and operators of an older site share views. Unapplying keeps the permission."""

    dependencies = [("kyndo", "0003_approvers")]
    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
