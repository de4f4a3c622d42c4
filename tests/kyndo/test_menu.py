"""The menu of the admin shows each person the pages that they may open."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from kyndo.roles import create_groups

pytestmark = pytest.mark.django_db


def sign_in(client: Client, group: str = "") -> list[str]:
    """Sign in as a member of the group, or as a superuser, and return the titles of the menu."""
    user = User.objects.create_user("ada", is_staff=True, is_superuser=not group)
    if group:
        create_groups("default")  # a test that flushes leaves none
        user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return [item["title"] for section in menu(client) for item in section["items"]]


def menu(client: Client) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get("/admin/").context["sidebar_navigation"]
    return found


def test_the_catalogue_comes_first_and_accounts_last(client: Client) -> None:
    titles = sign_in(client)
    assert [section["title"] for section in menu(client)] == ["", "Catalogue", "Work", "Accounts"]
    assert titles[:2] == ["Dashboard", "Cards"]
    assert titles[-2:] == ["Users", "Groups"]


@pytest.mark.parametrize("group", ["viewers", "editors", "operators"])
def test_every_entry_of_the_menu_opens(client: Client, group: str) -> None:
    titles = sign_in(client, group)
    assert {"Cards", "Runs"} <= set(titles)
    assert not {"Users", "Groups"} & set(titles)
    links = [item["link"] for section in menu(client) for item in section["items"]]  # type: ignore[attr-defined]
    assert {client.get(link).status_code for link in links} == {200}


def test_somebody_without_permissions_has_no_empty_sections(client: Client) -> None:
    client.force_login(User.objects.create_user("ada", is_staff=True))
    assert [section["title"] for section in menu(client)] == [""]
