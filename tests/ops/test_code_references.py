"""What names the old field of a column change in a project's code: the lines with ``hit``, no others."""

import json
import re
from pathlib import Path

import pytest
from django.db.models import Model

from cards.models import Card
from ops.column_changes import ColumnChange
from ops.column_changes.steps import Step
from ops.column_changes.taking.status import find_missing
from ops.column_changes.usage.code import find_references
from tests.other_project import run_in_project, write_project
from tests.trials.models import Thing

MODELS = """
from django.db import models

class Named(models.Model):
    def label(self):
        return self.rarity  # hit

    class Meta:
        abstract = True

class Card(Named):
    rarity = models.CharField(max_length=32, default="common")
    rarity_v2 = models.CharField(max_length=64, null=True)
    name = models.TextField(db_column="The Title")
    name_v2 = models.TextField(null=True)

    class Meta:
        ordering = ["-rarity"]  # hit
        constraints = [
            models.UniqueConstraint("rarity", name="one"),  # hit
            models.CheckConstraint(condition=models.Q(rarity__gt=""), name="two"),  # hit
        ]
        indexes = [models.Index(fields=["rarity"], name="three")]  # hit

    def __str__(self):
        return self.rarity  # hit

class GoldenCard(Card):
    class Meta:
        proxy = True

    def shine(self):
        self.rarity = "rare"  # hit

class Rule(models.Model):
    rarity = models.CharField(max_length=32)
    card = models.ForeignKey(Card, models.CASCADE, null=True)

    class Meta:
        ordering = ["rarity"]
        indexes = [models.Index(fields=["rarity"], name="four")]

    def __str__(self):
        return self.rarity

class Asset(models.Model):
    owner = models.ForeignKey(Card, models.CASCADE)
    owner_v2 = models.ForeignKey(Card, models.CASCADE, null=True, related_name="+")
"""
OPERATIONS = """
from ops.column_changes import ColumnChange, register_change
from shop.models import Asset, Card

@register_change
class Rarity(ColumnChange):
    name = "rarity_v2"; model = Card; old = "rarity"; new = "rarity_v2"

@register_change
class Owner(ColumnChange):
    name = "owner_v2"; model = Asset; old = "owner"; new = "owner_v2"

@register_change
class Name(ColumnChange):
    name = "name_v2"; model = Card; old = "name"; new = "name_v2"
"""
# By file of the app: what is looked for is Card.rarity.
CASES = {
    "attributes.py": """
        def show(card, rule: "Rule", rows: list[Rule]):
            card.rarity = 1  # hit
            del card.rarity  # hit
            print(rule.rarity, rule.card.rarity)  # hit
            print(rule.rarity)
            return [row.rarity for row in rows], Card.rarity  # hit

        def other(rows: list[Rule]):
            first = rows[0]
            again = Rule.objects.filter(card=None).order_by("pk").first()
            return [row.rarity for row in rows], first.rarity, again.rarity

        def later(rows: list[Rule]):
            while rows:
                last = between
                between = first
                first = rows.pop()
            return first.rarity  # hit

        def loop(rows: list[Rule]):
            for row in rows:
                print(last.rarity)
                last = between
                between = row

        def mixed(rows):
            rule = Rule.objects.first()
            rule = rows[0]
            return rule.rarity  # hit

        class Form:
            def clean(self):
                return self.rarity
        """,
    "keywords.py": """
        Card.objects.filter(rarity="rare")  # hit
        Rule.objects.filter(rarity="rare", card__rarity__in=["rare"])  # hit
        Rule.objects.filter(rarity="rare")
        Rule.objects.filter(rarity=OuterRef("rarity"))  # hit
        Rule.objects.filter(Q(rarity="rare"), card__in=cards.filter(rarity=""))  # hit
        Rule.objects.filter(Q(rarity="rare") | ~Q(rarity=F("rarity")))
        Card(rarity="rare")  # hit
        Rule(rarity="rare")
        get_object_or_404(Rule, rarity="rare")
        rows.update(rarity="rare")  # hit
        Rule.objects.get().card.rule_set.filter(rarity="rare")
        Rule.objects.get().card.rule_set.filter(card__rarity="rare")  # hit
        find()(rarity="rare")  # hit
        def paint(rarity): ...
        paint(rarity="rare")
        match card:
            case Card(rarity="rare"):  # hit
                pass
        """,
    "strings.py": '''
        """The rarity."""
        NAMES = ["rarity", "title"]  # hit
        ORDER = "-rarity"  # hit
        LOOKUP = "card__rarity__in"  # hit
        DYNAMIC = f"{prefix}__rarity"  # hit
        F("rarity")  # hit
        row["rarity"]  # hit
        Rule.objects.values_list("rarity", flat=True)
        Rule.objects.update_or_create(pk=1, defaults={"rarity": "rare"})
        Rule._meta.get_field("rarity")
        Rule.objects.values()[0]["rarity"]
        Schema(model=Rule, key="rarity")
        Schema(model=Card, key="rarity")  # hit
        Schema(Card, Rule, "rarity")  # hit
        OTHER = ["rarity_v2", "rarities", "the rarity of a card", "Select a rarity from the list."]
        field = CharField(help_text="rarity", label="rarity")
        ''',
    "config.py": """
        from django.contrib import admin
        from shop.models import Rule as Dress

        @admin.register(Card)
        class CardAdmin(admin.ModelAdmin):
            list_display = ["rarity"]  # hit
            list_filter = [("rarity", Filter)]  # hit
            search_fields = ["=rarity"]  # hit
            readonly_fields = fields = ("rarity",)  # hit
            @admin.display(description="rarity", ordering="rarity")  # hit
            def show(self, card): ...

        @admin.register(Dress)
        class RuleAdmin(admin.ModelAdmin):
            list_display = ["rarity"]
            search_fields = ["rarity", "card__rarity"]  # hit
            @admin.display(description="rarity", ordering="rarity")
            def show(self, rule: Dress):
                return rule.rarity
            def cards(self):
                return rows.filter(rarity="rare")  # hit

        class Operation:
            model = Card
            group_by = "rarity"  # hit
            depends_on = ("title", "rarity")  # hit
            def get_changes(self):
                return {"rarity": "rare"}  # hit

        class CardForm(ModelForm):
            class Meta:
                model = Card
                fields = ["rarity"]  # hit

        class RuleForm(ModelForm):
            class Meta:
                model = Rule
                fields = ["rarity"]
        """,
    "queries.py": '''
        cursor.execute("rarity = 1")  # hit
        cursor.execute(f"""
            SELECT {names}, c.rarity  -- hit
            FROM cards c""")
        TEXT = "select Rarity from cards"  # hit
        FUNCTION = "NEW.rarity_v2 := NEW.rarity"  # hit
        NEW = "UPDATE cards SET rarity_v2 = 1 WHERE rarity_v2 IS NULL"
        sql.SQL("{} = rarity").format(x)  # hit
        ''',
    "ignored.py": """
        Thing.rarity  # column_change: ignore[rarity_v2]
        Thing.rarity  # column_change: ignore[other, rarity_v2]
        Thing.rarity  # hit, column_change: ignore[other]
        cursor.execute('''
            SELECT rarity FROM cards
            ''')  # column_change: ignore[rarity_v2]
        """,
    "foreign_key.py": """
        asset.owner
        asset.owner_id
        Asset(owner_v2=1)
        find(owner__name=2)
        TEXT = "SELECT owner_id FROM assets"
        OTHER = "SELECT owner FROM assets"
        """,
    "column.py": """
        from django.db.models import Index, Q
        Index(name="one"), Q(name="two")
        ONE = 'SELECT name FROM cards'
        TWO = 'SELECT "The Title" FROM cards'
        """,
    "broken.py": "rarity = = 1  # hit",
    "templates/card.html": """
        <p class="card.rarity">{{ card.rarity }} {# hit #}</p>
        {% if card.rarity == "rare" %}{# hit #}{% endif %}
        {{ card.rarity_v2 }} {{ rarity }} {{ rule.rarity }}{# column_change: ignore[rarity_v2] #}
        """,
    "report.sql": "SELECT rarity FROM cards; -- hit\nSELECT rarity_v2 FROM cards;",
    "migrations/0001_initial.py": "rarity.rarity",
}
LIST_ALL = (
    "import os, json, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'; django.setup()\n"
    "from ops.column_changes.registry import list_changes\n"
    "from ops.column_changes.usage.code import find_references\n"
    "print(json.dumps({change.name: find_references(change) for change in list_changes()}))"
)
DATABASE = {"NAME": "nowhere", "HOST": "localhost", "PORT": "1"}  # nothing is asked of it


def write_shop(root: Path, **files: str) -> Path:
    app = {"models.py": MODELS, "operations.py": OPERATIONS, "migrations/__init__.py": "", **files}
    return write_project(root, DATABASE, {f"shop/{name}": text for name, text in app.items()})


def list_references(project: Path) -> dict[str, list[str]]:
    done = run_in_project(project, "-c", LIST_ALL)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return list_references(write_shop(tmp_path_factory.mktemp("shop"), **CASES))


@pytest.mark.parametrize("name", [*CASES, "models.py", "operations.py"])
def test_what_names_the_field_is_found_and_no_other_line(references: dict[str, list[str]], name: str) -> None:
    text = {**CASES, "models.py": MODELS, "operations.py": OPERATIONS}[name]
    lines = text.splitlines()
    expected = {number for number, line in enumerate(lines, 1) if re.search(r"(#|--) hit", line)}
    places = [place.partition(" ")[0].split(":") for place in references["rarity_v2"]]
    assert {int(line) for path, line in places if path == f"shop/{name}"} == expected


def test_a_foreign_key_is_named_by_its_column_too(references: dict[str, list[str]]) -> None:
    assert [place for place in references["owner_v2"] if "/foreign_key.py" in place] == [
        "shop/foreign_key.py:2 owner",
        "shop/foreign_key.py:3 owner_id",
        "shop/foreign_key.py:5 owner__name",
        "shop/foreign_key.py:6 owner_id",
    ]


def test_a_column_of_another_name_is_looked_for_in_sql(references: dict[str, list[str]]) -> None:
    assert [place for place in references["name_v2"] if "/column.py" in place] == [
        "shop/column.py:3 name",
        "shop/column.py:5 The Title",
    ]


def test_after_a_swap_code_keeps_the_old_name(tmp_path: Path) -> None:
    operations = OPERATIONS.replace('new = "rarity_v2"', 'new = "rarity_v2"; swap = True')
    found = list_references(write_shop(tmp_path, **{"operations.py": operations, "code.py": "card.rarity"}))
    assert found["rarity_v2"] == []


def test_the_check_warns_once_the_field_has_left_the_model(tmp_path: Path) -> None:
    """Before, code may name it, and the command tells of it."""
    left = """
        from django.db import models
        class Card(models.Model):
            rarity_v2 = models.CharField(max_length=64)
        """
    operations = OPERATIONS.partition("@register_change\nclass Owner")[0].replace("Asset, ", "")
    files = {"operations.py": operations, "code.py": "card.rarity\n"}
    before = write_shop(tmp_path / "before", **{**files, "models.py": MODELS})
    after = write_shop(tmp_path / "after", **{**files, "models.py": left})
    assert "System check identified no issues" in run_in_project(before, "manage.py", "check").stdout
    warned = run_in_project(after, "manage.py", "check")
    assert warned.returncode == 0, warned.stderr
    assert (
        "shop.operations.Rarity: (ops.W003) rarity_v2: Card has no field rarity any more,"
        " but code may still name it:\nshop/code.py:1 rarity\n"
        "\tHINT: Use rarity_v2 instead. Where a line names another field, end it with the comment"
        " # column_change: ignore[rarity_v2]\n"
    ) in warned.stderr
    (after / "shop/code.py").write_text("card.rarity  # column_change: ignore[rarity_v2]")
    assert "W003" not in run_in_project(after, "manage.py", "check").stderr


def test_a_foreign_key_is_known_by_its_migration_once_it_has_left(tmp_path: Path) -> None:
    operations = """
        from ops.column_changes import ColumnRemoval, register_change
        from shop.models import Card
        @register_change
        class RemoveOwner(ColumnRemoval):
            name = "remove_owner"; model = Card; old = "owner"
        """
    expand = """
        from django.db.migrations import Migration as Base
        from ops.column_changes.migration_operations import WatchColumn
        from ops.sql.watched_column import WatchedColumn
        class Migration(Base):
            operations = [WatchColumn(WatchedColumn("remove_owner", "shop_card", "owner_id"))]
        """
    models = "from django.db import models\nclass Card(models.Model):\n    pass\n"
    code = "def show(card):\n    return card.owner_id\n"
    files = {"operations.py": operations, "models.py": models, "code.py": code}
    project = write_shop(tmp_path, **files, **{"migrations/0001_expand.py": expand})
    warned = run_in_project(project, "manage.py", "check", "--tag", "column_changes")
    assert "code may still name it:\nshop/code.py:2 owner_id\n\tHINT: Do without it." in warned.stderr


def declare_change(model: type[Model], old: str, new: str) -> type[ColumnChange]:
    return type("Trial", (ColumnChange,), {"name": "trial", "model": model, "old": old, "new": new})


def test_the_project_is_searched_and_no_package() -> None:
    found = find_references(declare_change(Card, "name", "title"))
    assert {place.partition("/")[0] for place in found} == {"cards", "kyndo", "tests"}


@pytest.mark.django_db
def test_retire_waits_until_no_code_names_the_field() -> None:
    named, unnamed = (declare_change(Thing, old, "note") for old in ("rarity", "no_such_field"))
    missing = find_missing(named, Step.RETIRE)
    assert re.fullmatch(
        r"The code still names rarity in \d+ places \(manage.py check --tag column_changes\)\.", missing[0]
    )
    assert missing[1:] == find_missing(unnamed, Step.RETIRE)
