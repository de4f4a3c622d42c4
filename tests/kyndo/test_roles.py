"""Who may do what: each role, on every page of the admin and with every action of its lists."""

import re
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.urls import resolve, reverse
from redis import Redis

from cards.models import Card
from kyndo.roles import GROUPS, create_groups
from ops import permissions
from ops.admin.starting.operations import get_model_operations
from ops.operations import registry
from tests.admin_pages import page_text
from tests.admin_urls import KEY, create_one_of_each, iter_urls

pytestmark = pytest.mark.django_db

ROLES = ("nobody", *GROUPS, "superuser")
NOBODY: set[str] = set()
SUPERUSER = {"superuser"}
EDITORS, OPERATORS = {"editors", *SUPERUSER}, {"operators", *SUPERUSER}
APPROVERS = {"approvers", *SUPERUSER}
GROUP_MEMBERS = {*GROUPS, *SUPERUSER}
EVERYONE = set(ROLES)
# Every page, and every action of a list, with the roles that may use it.
PAGES = {
    # These name no model and no row, beyond what their user may view.
    **dict.fromkeys(
        ("index", "login", "logout", "password_change", "password_change_done", "jsi18n", "search"), EVERYONE
    ),
    # They redirect to another page of this table, or find nothing.
    **dict.fromkeys(("<path:object_id>/", "(?P<url>.*)$", "view_on_site"), EVERYONE),
    "app_list auth": SUPERUSER,
    **dict.fromkeys(("app_list cards", "app_list ops", "autocomplete"), GROUP_MEMBERS),
    **{
        f"cards_{model}_{page}": roles
        for model in ("card", "presentationrule", "asset")
        for page, roles in {
            **dict.fromkeys(("changelist", "change", "history", "changes"), GROUP_MEMBERS),
            **dict.fromkeys(("add", "delete"), EDITORS),
        }.items()
    },
    "cards_card_neighbour": GROUP_MEMBERS,
    "cards_card_upload": EDITORS,
    # An upload is its maker's, and eve is in no group.
    **dict.fromkeys(
        [f"cards_card_uploaded{page}" for page in ("", "_live", "_apply", "_discard")], SUPERUSER
    ),
    "cards_presentationrule_order": EDITORS,
    **dict.fromkeys(("cards_card_sheet", "cards_card_sheet_rows", "cards_card_changeset"), EDITORS),
    "cards_card_undo": EDITORS,
    # The one that exists is somebody else's.
    **dict.fromkeys(("cards_card_changeset_detail", "cards_card_changeset_start"), SUPERUSER),
    **{
        f"cards_card_{page} {operation.name}": OPERATORS
        for operation in get_model_operations(Card)
        for page in ("operate", "changelist")
    },
    **dict.fromkeys(("cards_card_export", "cards_card_changelist export"), OPERATORS),
    **{
        f"ops_{model}_{page}": roles
        for model, roles in {"run": GROUP_MEMBERS, "auditlog": GROUP_MEMBERS, "export": OPERATORS}.items()
        for page in ("changelist", "change", "history")
    },
    **{
        f"ops_{model}_{page}": NOBODY for model in ("run", "auditlog", "export") for page in ("add", "delete")
    },
    # Of views, only one of the cards exists, and it is somebody else's.
    **{
        f"{model}_{verb}view": roles
        for model, roles in {
            "cards_card": GROUP_MEMBERS,
            "cards_asset": GROUP_MEMBERS,
            "ops_run": GROUP_MEMBERS,
            "ops_export": OPERATORS,
        }.items()
        for verb in ("save", "change", "delete")
    },
    **dict.fromkeys(("cards_card_changeview", "cards_card_deleteview"), SUPERUSER),
    **dict.fromkeys(
        (
            "approvals",
            "ops_run_live",
            "ops_run_preview",
            "ops_run_failures",
            "ops_run_changes",
            "ops_run_conflicts",
            "ops_run_expected_conflicts",
        ),
        GROUP_MEMBERS,
    ),
    **dict.fromkeys([f"dashboard_{name}_live" for name in ("rarities", "running", "failed")], GROUP_MEMBERS),
    **dict.fromkeys(
        [
            f"dashboard_{name}_live"
            for name in ("queue", "backup", "preflight", "column_changes", "statements")
        ],
        OPERATORS,
    ),
    "ops_run_download": OPERATORS,
    **dict.fromkeys(("queue", "queue_live", "queue_retry", "queue_delete"), OPERATORS),
    **{f"ops_run_{verb}": OPERATORS for verb in (*permissions.CONTROL_VERBS, "repeat")},
    **{f"ops_run_{verb}": APPROVERS for verb in ("approve", "decline")},
    **{f"ops_export_{page}": OPERATORS for page in ("live", "cancel", "files")},
    **{
        f"auth_{model}_{page}": SUPERUSER
        for model in ("user", "group")
        for page in ("changelist", "changelist delete_selected", "change", "history", "add", "delete")
    },
    "auth_user_password_change": SUPERUSER,
}
# Pages that show a form also to those who may not send it; and 405 to everyone.
POSTS = {
    **PAGES,
    **{f"cards_{model}_change": EDITORS for model in ("card", "presentationrule", "asset")},
    "autocomplete": EVERYONE,
}
# Django answers 404 where an app has nothing for its user.
REFUSALS = {"app_list": 404}


def iter_actions() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield each action of each list, its URL, and the data that a browser posts."""
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_active=True)
    for model, model_admin in admin.site._registry.items():
        page = f"{model._meta.app_label}_{model._meta.model_name}_changelist"
        for action in model_admin.get_actions(request):
            url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            yield f"{page} {action}", url, {"action": action, "_selected_action": str(KEY)}


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest, client: Client, redis_server: Redis) -> str:
    """Sign the client in as somebody of the role."""
    Group.objects.all().delete()
    create_groups("default")
    name: str = request.param
    user = User.objects.create_user(name, is_staff=True, is_superuser=name == "superuser")
    user.groups.set(Group.objects.filter(name=name))
    client.force_login(user)
    create_one_of_each()
    return name


def request_page(client: Client, name: str, method: str, url: str, data: dict[str, str]) -> Any:
    """Return the response; nothing that the request changed stays."""
    user_id = client.session["_auth_user_id"]
    savepoint = transaction.savepoint()
    response = getattr(client, method)(url, data)
    transaction.savepoint_rollback(savepoint)
    if name == "logout":
        client.force_login(User.objects.get(pk=user_id))
    assert response.status_code < 500, (name, method)
    return response


def is_permitted(name: str, response: Any) -> bool:
    return bool(response.status_code != REFUSALS.get(name.partition(" ")[0], 403))


def find_forbidden_links(role: str, content: str) -> Iterator[str]:
    """Yield the pages that the content links to, or sends a form to, and that the role may not use."""
    for url in re.findall(r'(?:href|action)="(/admin/[^"?#]*)', content):
        match = resolve(url)
        name = " ".join([match.url_name or "<path:object_id>/", *map(str, match.kwargs.values())])
        page = next((name for name in (name, match.url_name) if name in PAGES), "")
        if role not in (PAGES[page] if page else NOBODY):
            yield url


def test_every_page_and_action_answers_each_role_as_the_table_says(client: Client, role: str) -> None:
    pages = list(iter_urls())
    posts = [(name, url, {}) for name, url in pages] + list(iter_actions())
    assert {name for name, _, _ in posts} == PAGES.keys()
    wrong = []
    for name, url in pages:
        response = request_page(client, name, "get", url, {})
        if is_permitted(name, response) != (role in PAGES[name]):
            wrong.append(f"GET {name}: {response.status_code}")
        elif response.status_code == 200 and not response.streaming:
            links = find_forbidden_links(role, response.content.decode())
            wrong += [f"{name} shows {link}" for link in links]
    for name, url, data in posts:
        response = request_page(client, name, "post", url, data)
        if is_permitted(name, response) != (role in POSTS[name]):
            wrong.append(f"POST {name}: {response.status_code}")
    assert wrong == []


def test_a_list_offers_only_the_actions_that_its_user_may_take(client: Client, role: str) -> None:
    for model_admin in admin.site._registry.values():
        page = f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist"
        if role in PAGES[page]:
            response = client.get(reverse(f"admin:{page}"))
            form = response.context.get("action_form")
            offered = {name for name, _ in form.fields["action"].choices if name} if form else set()
            named = {name for name, roles in PAGES.items() if name.startswith(f"{page} ") and role in roles}
            assert {f"{page} {name}" for name in offered} == named


def test_a_refusal_says_what_is_missing_and_who_can_help(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", is_staff=True))
    page = client.get("/admin/cards/card/")
    assert page.status_code == 403
    assert "An administrator of this site can give you the permission." in page_text(page)


def test_every_page_redirects_anonymous_users_to_the_login(client: Client) -> None:
    create_one_of_each()
    answers = {name: client.get(url) for name, url in iter_urls()}
    public = {
        name for name, page in answers.items() if "/admin/login/" not in page.headers.get("Location", "")
    }
    assert public == {"login", "logout"}


def test_an_existing_group_keeps_its_permissions() -> None:
    Group.objects.all().delete()
    Group.objects.create(name="viewers")
    create_groups("default")
    assert {group.name: group.permissions.exists() for group in Group.objects.all()} == {
        "viewers": False,
        "editors": True,
        "operators": True,
        "approvers": True,
    }


def test_the_migration_gives_the_groups_permissions_on_an_empty_database() -> None:
    Group.objects.all().delete()
    Permission.objects.all().delete()  # Django creates them after the last migration
    migration = import_module("kyndo.migrations.0001_groups")
    migration.create(apps, SimpleNamespace(connection=connection))
    counts = {group.name: group.permissions.count() for group in Group.objects.all()}
    assert counts["viewers"] == 5
    assert counts["editors"] == 5 + 3 * 3 + 1
    assert counts["operators"] > 5 + len(permissions.CONTROL_VERBS)
    assert counts["approvers"] == 5 + 1


def test_operators_of_an_older_site_may_see_what_is_new() -> None:
    """The queue, and what the dashboard shows of the server."""
    operators, _ = Group.objects.get_or_create(name="operators")  # tests that flush leave no group
    operators.permissions.clear()
    Group.objects.filter(name="approvers").delete()
    import_module("kyndo.migrations.0003_approvers").create(apps, SimpleNamespace(connection=connection))
    assert set(operators.permissions.values_list("codename", flat=True)) == {
        "view_queue",
        "manage_queue",
        "view_preflight",
        "view_statistics",
        "view_backup",
        "view_columnchangeevent",
    }
    assert Group.objects.get(name="approvers").permissions.filter(codename="approve_run").exists()


def test_each_operation_and_control_has_a_permission_of_its_own() -> None:
    needed = {permissions.run_permission(operation) for operation in registry.list_operations()}
    needed |= {permissions.control_permission(verb) for verb in permissions.CONTROL_VERBS}
    needed |= {permissions.EXPORT_PERMISSION, permissions.APPROVE_PERMISSION}
    needed |= {permissions.VIEW_QUEUE, permissions.MANAGE_QUEUE}
    stored = Permission.objects.filter(content_type__app_label="ops").values_list("codename", flat=True)
    assert {name.removeprefix("ops.") for name in needed} <= {*stored}
    assert not needed & User.objects.create_user("bob", is_staff=True).get_all_permissions()
