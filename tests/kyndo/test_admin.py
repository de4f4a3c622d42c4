"""The admin's front page names the site, and lists what belongs to it."""

from django.test import Client


def test_the_admin_is_named_after_the_site(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "<title>KYNDO | KYNDO</title>" in page.replace("\n", "")
    assert "Django administration" not in page
    assert "Django site admin" not in page


def test_the_admin_does_not_list_the_queues_of_the_worker(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "django_rq" not in page
    assert "Django-RQ" not in page
