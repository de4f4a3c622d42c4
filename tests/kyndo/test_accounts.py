"""Users and groups in the admin: nobody grants more than they have, and every change is audited."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from ops.models import AuditLog

pytestmark = pytest.mark.django_db

PASSWORD = "xkcd9873zz"


@pytest.fixture
def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def manager(client: Client) -> Client:
    """Sign in as Mia, who may do everything with users and groups, and view cards."""
    mia = User.objects.create_user("mia", password=PASSWORD, is_staff=True)
    mia.user_permissions.set(find_permissions("view_card", *(f"{v}_{m}" for v in VERBS for m in MODELS)))
    client.force_login(mia)
    return client


VERBS, MODELS = ("view", "add", "change", "delete"), ("user", "group")


def find_permissions(*codenames: str) -> list[Permission]:
    return list(Permission.objects.filter(codename__in=codenames))


def page_of(account: User | Group, page: str = "change") -> str:
    return f"/admin/auth/{account._meta.model_name}/{account.pk}/{page}/"


def change(client: Client, account: User | Group, **changes: Any) -> Any:
    """Post the account's form with these changes, as a browser does."""
    admin_form = client.get(page_of(account)).context["adminform"]
    names = [name for _, options in admin_form.fieldsets for name in options["fields"]]
    data = {name: admin_form.form[name].value() for name in names if name in admin_form.form.fields} | changes
    ticked = {name: value for name, value in data.items() if value not in (False, None)}
    return client.post(page_of(account), ticked)


def audited() -> list[tuple[str, str, str, Any]]:
    return list(
        AuditLog.objects.order_by("pk").values_list("action", "object_type", "performed_by", "changes")
    )


def test_only_a_superuser_makes_superusers(manager: Client, superuser: Client) -> None:
    bob = User.objects.create_user("bob")
    assert 'name="is_superuser"' not in manager.get(page_of(bob)).content.decode()
    assert change(manager, bob, is_superuser="on", first_name="Bob").status_code == 302
    bob.refresh_from_db()
    assert (bob.first_name, bob.is_superuser) == ("Bob", False)
    assert change(superuser, bob, is_superuser="on").status_code == 302
    assert User.objects.get(pk=bob.pk).is_superuser


def test_only_a_superuser_touches_superusers(manager: Client) -> None:
    root = User.objects.create_superuser("root")
    assert manager.get(page_of(root)).status_code == 200
    assert 'name="username"' not in manager.get(page_of(root)).content.decode()
    assert manager.post(page_of(root), {"username": "root", "is_active": ""}).status_code == 403
    assert manager.post(page_of(root, "delete"), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": root.pk, "post": "yes"}
    assert manager.post("/admin/auth/user/", data).status_code == 403
    assert User.objects.get(pk=root.pk).is_active


@pytest.mark.parametrize("active", [True, False])
def test_nobody_touches_an_account_that_has_more_than_they(manager: Client, active: bool) -> None:
    group = Group.objects.create(name="painters")
    group.permissions.set(find_permissions("change_card"))
    bob = User.objects.create_user("bob", is_active=active)
    bob.groups.add(group)
    for account in (bob, group):
        assert manager.post(page_of(account), {"username": "b", "name": "b"}).status_code == 403
        assert manager.post(page_of(account, "delete"), {"post": "yes"}).status_code == 403
    assert bob.groups.get() == group


def test_nobody_grants_what_they_do_not_have(manager: Client) -> None:
    bob, mine = User.objects.create_user("bob"), Group.objects.create(name="mine")
    painters = Group.objects.create(name="painters")
    painters.permissions.set(find_permissions("change_card"))
    mine.permissions.set(find_permissions("view_card"))
    [own], [other] = find_permissions("view_card"), find_permissions("change_card")
    assert change(manager, bob, user_permissions=[other.pk]).status_code == 200
    assert change(manager, bob, groups=[painters.pk]).status_code == 200
    assert change(manager, mine, permissions=[own.pk, other.pk]).status_code == 200
    assert not bob.get_all_permissions()
    assert list(mine.permissions.all()) == [own]
    page = manager.get(page_of(bob)).content.decode()
    assert "painters" not in page
    assert "Can change card" not in page
    assert change(manager, bob, groups=[mine.pk], user_permissions=[own.pk]).status_code == 302
    assert bob.groups.get() == mine
    assert bob.user_permissions.get() == own


def test_nobody_grants_themselves_more(manager: Client) -> None:
    mia, [other] = User.objects.get(username="mia"), find_permissions("change_card")
    own = [permission.pk for permission in mia.user_permissions.all()]
    assert change(manager, mia, user_permissions=[*own, other.pk]).status_code == 200
    assert change(manager, mia, is_superuser="on").status_code == 302
    mia.refresh_from_db()
    assert not mia.is_superuser
    assert not mia.has_perm("cards.change_card")


def test_only_a_superuser_sets_passwords_of_others(manager: Client, superuser: Client) -> None:
    bob = User.objects.create_user("bob", password="before")
    data = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert "/password/" not in manager.get(page_of(bob)).content.decode()
    assert manager.get(page_of(bob, "password")).status_code == 403
    assert manager.post(page_of(bob, "password"), data).status_code == 403
    assert User.objects.get(pk=bob.pk).check_password("before")
    assert "/password/" in superuser.get(page_of(bob)).content.decode()
    assert superuser.post(page_of(bob, "password"), data).status_code == 302
    assert User.objects.get(pk=bob.pk).check_password(PASSWORD)
    hidden = {"password": {"old": "(hidden)", "new": "(hidden)"}}
    assert audited() == [("admin_change", "auth.user", "ada", hidden)]


def test_somebody_who_may_only_view_users_sees_no_hash(client: Client) -> None:
    bob = User.objects.create_user("bob", password=PASSWORD, is_staff=True)
    bob.user_permissions.set(find_permissions("view_user"))
    client.force_login(bob)
    page = client.get(page_of(bob))
    assert page.status_code == 200
    assert "pbkdf2" not in page.content.decode()


def test_changing_the_own_password_is_audited_without_its_hash(manager: Client) -> None:
    data = {"old_password": PASSWORD, "new_password1": f"{PASSWORD}2", "new_password2": f"{PASSWORD}2"}
    assert manager.post("/admin/password_change/", {**data, "old_password": "x"}).status_code == 200
    assert audited() == []
    assert manager.post("/admin/password_change/", data).status_code == 302
    hidden = {"password": {"old": "(hidden)", "new": "(hidden)"}}
    assert audited() == [("password_change", "auth.user", "mia", hidden)]
    assert manager.get("/admin/").status_code == 200  # still signed in


def test_every_change_of_a_user_is_audited(superuser: Client) -> None:
    data = {"username": "bob", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert superuser.post("/admin/auth/user/add/", data).status_code == 302
    [(action, label, by, changes)] = audited()
    assert (action, label, by) == ("admin_add", "auth.user", "ada")
    assert changes["username"] == {"old": None, "new": "bob"}
    assert changes["password"] == {"old": None, "new": "(hidden)"}

    bob, painters = User.objects.get(username="bob"), Group.objects.create(name="painters")
    [permission] = find_permissions("change_card")
    change(superuser, bob, is_staff="on", groups=[painters.pk], user_permissions=[permission.pk])
    columns, relations = audited()[1:]
    assert columns[3] == {"is_staff": {"old": False, "new": True}}
    assert relations[3] == {
        "groups": {"old": [], "new": ["painters"]},
        "user_permissions": {"old": [], "new": ["cards.change_card"]},
    }

    superuser.post(page_of(bob, "delete"), {"post": "yes"})
    columns, relations = audited()[3:]
    assert columns[0] == "admin_delete"
    assert columns[3]["username"] == {"old": "bob", "new": None}
    assert relations[3] == {
        "groups": {"old": ["painters"], "new": []},
        "user_permissions": {"old": ["cards.change_card"], "new": []},
    }


def test_every_change_of_a_group_is_audited(superuser: Client) -> None:
    [permission] = find_permissions("change_card")
    superuser.post("/admin/auth/group/add/", {"name": "painters", "permissions": [permission.pk]})
    group = Group.objects.get(name="painters")
    User.objects.create_user("bob").groups.add(group)
    change(superuser, group, permissions=[])
    data = {"action": "delete_selected", "_selected_action": group.pk, "post": "yes"}
    superuser.post("/admin/auth/group/", data)
    granted = ["cards.change_card"]
    assert audited() == [
        ("admin_add", "auth.group", "ada", {"name": {"old": None, "new": "painters"}}),
        ("admin_add", "auth.group", "ada", {"permissions": {"old": [], "new": granted}}),
        ("admin_change", "auth.group", "ada", {"permissions": {"old": granted, "new": []}}),
        ("admin_delete", "auth.group", "ada", {"name": {"old": "painters", "new": None}}),
        ("admin_delete", "auth.group", "ada", {"users": {"old": ["bob"], "new": []}}),
    ]


def test_no_hash_of_a_password_is_ever_in_the_audit_log(superuser: Client) -> None:
    data = {"username": "bob", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    superuser.post("/admin/auth/user/add/", data)
    bob = User.objects.get(username="bob")
    superuser.post(
        page_of(bob, "password"), {**data, "password1": f"{PASSWORD}2", "password2": f"{PASSWORD}2"}
    )
    superuser.post(page_of(bob, "delete"), {"post": "yes"})
    texts = str(list(AuditLog.objects.values_list("changes", "metadata")))
    assert texts.count("(hidden)") == 4
    assert "pbkdf2" not in texts


def test_the_audit_log_shows_account_data_only_to_who_may_view_accounts(
    superuser: Client, client: Client
) -> None:
    bob = User.objects.create_user("bob", email="old@example.org")
    change(superuser, bob, email="new@example.org")
    row = AuditLog.objects.get()
    vera = User.objects.create_user("vera", is_staff=True)
    client.force_login(vera)
    urls = ("/admin/ops/auditlog/", f"/admin/ops/auditlog/{row.pk}/change/")
    found = "/admin/ops/auditlog/?value=new@example"

    def read(*permissions: str) -> tuple[bool, bool]:
        """Whether a page has an address, and whether the search for a part of one finds anything."""
        vera.user_permissions.set(find_permissions(*permissions))
        pages = [client.get(url).content.decode() for url in urls]
        assert all(
            f'href="{urls[1]}"' in page or url == urls[1] for url, page in zip(urls, pages, strict=True)
        )
        entries = client.get(found).context["entries"]
        return any("example.org" in page for page in pages), bool(entries)

    assert read("view_auditlog", "view_run", "view_card") == (False, False)
    assert read("view_auditlog", "view_user") == (True, True)
