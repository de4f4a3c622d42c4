from django.apps import apps as installed_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

from kyndo.roles import create_groups
from ops.permissions import create_permissions as create_run_permissions


def create(apps, schema_editor):
    """Create the groups and, since Django creates permissions only after all migrations, their permissions."""
    using = schema_editor.connection.alias
    for label in ("cards", "ops"):
        create_permissions(installed_apps.get_app_config(label), verbosity=0, using=using)
    create_run_permissions(using)
    create_groups(using)


class Migration(migrations.Migration):
    """The groups viewers, editors and operators. Unapplying keeps them: they may be in use."""

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
