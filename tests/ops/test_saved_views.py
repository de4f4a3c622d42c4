"""Views of lists: kept, shared, renamed and deleted by those who may."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from cards.models import Card
from ops.admin.lists import saved_views
from ops.models import AuditLog, SavedView
from tests.admin_pages import page_text

LIST = "/admin/cards/card/"
SAVE = f"{LIST}views/"
LOG = "/admin/ops/auditlog/"
pytestmark = pytest.mark.django_db


def sign_in(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ada() -> Client:
    return sign_in("ada", "view_card", "view_auditlog", "share_view")


@pytest.fixture
def bob() -> Client:
    return sign_in("bob", "view_card")


def save(client: Client, name: str, query: str = "", **data: Any) -> Any:
    return client.post(SAVE, {"name": name, "query": query, **data})


def get_url(verb: str) -> str:
    return f"{SAVE}{SavedView.objects.get().pk}/{verb}/"


def list_tabs(client: Client, query: str = "") -> list[tuple[str, bool, bool, bool]]:
    layout = client.get(f"{LIST}{query}").context["cl"].layout
    return [(tab.view.name, tab.is_current, tab.is_changed, tab.may_edit) for tab in layout.tabs]


def test_a_view_keeps_filters_search_order_columns_and_layout(ada: Client) -> None:
    query = "?q=title&pack_id__exact=p&o=-0&columns=title&columns=card_id&layout=grid&p=2&view=7&e=1"
    response = save(ada, "Mine", query)
    view = SavedView.objects.get()
    kept = "columns=title&columns=card_id&layout=grid&pack_id__exact=p&q=title&sort=-card_id"
    assert view.query == kept
    assert response.headers["Location"] == f"{LIST}?{kept}&view={view.pk}"
    Card.objects.create(card_id="a", title="Title", pack_id="p")
    page = ada.get(response.headers["Location"])
    assert "The view “Mine” was saved." in page_text(page)
    assert page.context["cl"].layout.is_grid
    assert page.context["cl"].queryset.query.order_by[0] == "-card_id"
    assert list_tabs(ada, f"?{kept}&view={view.pk}") == [("Mine", True, False, True)]
    assert list_tabs(ada, f"?q=x&view={view.pk}") == [("Mine", True, True, True)]
    assert list_tabs(ada) == [("Mine", False, True, True)]


def test_a_view_is_ones_own_until_it_is_shared(ada: Client, bob: Client) -> None:
    save(ada, "Mine")
    assert list_tabs(bob) == []
    ada.post(get_url("change"), {"name": "Ours", "is_shared": "on", "query": "q=x"})
    assert list_tabs(bob) == [("Ours", False, True, False)]
    assert "Edit view" not in page_text(bob.get(f"{LIST}?q=x&view={SavedView.objects.get().pk}"))


def test_only_who_has_the_permission_shares_a_view(bob: Client) -> None:
    save(bob, "Mine", is_shared="on")
    assert not SavedView.objects.get().is_shared
    assert "Shared with everybody" not in page_text(bob.get(LIST))
    SavedView.objects.update(is_shared=True)
    bob.post(get_url("change"), {"name": "Still shared"})
    assert SavedView.objects.values_list("name", "is_shared").get() == ("Still shared", True)


@pytest.mark.parametrize("verb", ["change", "delete"])
def test_a_view_is_edited_by_its_owner_or_a_superuser(ada: Client, bob: Client, verb: str) -> None:
    save(ada, "Ours", is_shared="on")
    url = get_url(verb)
    assert bob.post(url, {"name": "Bob's"}).status_code == 403
    assert SavedView.objects.get().name == "Ours"
    User.objects.filter(username="bob").update(is_superuser=True)
    assert bob.get(url).status_code == 405
    assert bob.post(url, {"name": "Bob's"}).status_code == 302
    assert list(SavedView.objects.values_list("name", flat=True)) == (["Bob's"] if verb == "change" else [])
    assert bob.post(f"/admin/cards/asset/views/1/{verb}/").status_code == 404


def test_who_may_not_see_the_list_keeps_no_view_of_it() -> None:
    nobody = sign_in("eva")
    assert save(nobody, "Mine").status_code == 403
    assert nobody.get(SAVE).status_code == 403


def test_views_are_audited(ada: Client) -> None:
    save(ada, "Mine")
    ada.post(get_url("change"), {"name": "Ours", "is_shared": "on"})
    ada.post(get_url("delete"))
    rows = AuditLog.objects.order_by("pk").values_list("action", "object_type", "performed_by")
    assert list(rows) == [
        (action, "ops.savedview", "ada") for action in ("admin_add", "admin_change", "admin_delete")
    ]
    changes = AuditLog.objects.get(action="admin_change").changes
    assert changes == {
        "name": {"old": "Mine", "new": "Ours"},
        "is_shared": {"old": False, "new": True},
    }


def test_the_audit_log_keeps_the_views_of_others_secret(ada: Client) -> None:
    save(ada, "Suspicious", "?q=bob")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    for reader, is_shown in [(sign_in("bob", "view_auditlog"), False), (boss, True)]:
        assert ("Suspicious" in page_text(reader.get(LOG))) is is_shown


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"name": "Mine"}, "There is already a view called “Mine”. Choose another name."),
        ({"name": " "}, "This field is required."),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"name": "nul\0"}, "Null characters are not allowed."),
        ({"name": "another"}, "You have 1 views of this list. Delete one first."),
    ],
)
def test_a_view_that_cannot_be_kept_says_why(
    ada: Client, monkeypatch: pytest.MonkeyPatch, data: dict[str, str], problem: str
) -> None:
    monkeypatch.setattr(saved_views, "MAX_VIEWS", 1)
    save(ada, "Mine")
    page = ada.post(SAVE, {"query": "q=x", **data}, follow=True)
    assert problem in page_text(page)
    assert page.context["cl"].query == "x"
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize("query", ["description__contains=x", "thumbnail=no", "q=" + "x" * 5_000])
def test_a_list_that_there_is_not_is_not_kept(ada: Client, query: str) -> None:
    assert save(ada, "Mine", query).status_code == 400
    assert not SavedView.objects.exists()


def test_a_shared_view_is_hidden_from_who_lacks_its_filter(ada: Client, bob: Client) -> None:
    save(ada, "By Eva", "changed_by=eva", is_shared="on")
    save(ada, "Plain", "q=x", is_shared="on")
    assert [name for name, *_ in list_tabs(ada)] == ["By Eva", "Plain"]
    assert [name for name, *_ in list_tabs(bob)] == ["Plain"]


@pytest.mark.parametrize("number", ["999", "x", "99999999999999999999"])
def test_a_list_opened_by_an_unknown_view_is_the_whole_list(ada: Client, number: str) -> None:
    save(ada, "Mine")
    assert list_tabs(ada, f"?view={number}") == [("Mine", False, False, True)]


def test_every_list_has_views_of_its_own(client: Client) -> None:
    client.force_login(User.objects.create_superuser("eva"))
    client.post("/admin/ops/run/views/", {"name": "Queued", "query": "state__exact=queued"})
    assert SavedView.objects.get().model == "ops.run"
    assert "Queued" in page_text(client.get("/admin/ops/run/"))
    assert "Queued" not in page_text(client.get(LIST))
    assert client.post("/admin/ops/auditlog/views/", {"name": "x"}).status_code != 200


def test_an_account_is_deleted_with_its_views(ada: Client) -> None:
    save(ada, "Mine", is_shared="on")
    User.objects.get(username="ada").delete()
    assert not SavedView.objects.exists()
