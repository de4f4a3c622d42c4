"""The URLs of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from kyndo import media
from kyndo.admin import change_own_password

admin.site.site_header = admin.site.site_title = "KYNDO"
admin.site.index_title = "Dashboard"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/password_change/", admin.site.admin_view(change_own_password)),
    path("admin/", admin.site.urls),
    path("", include("ops.urls")),
    # With S3_BUCKET, pictures have the bucket's URLs instead.
    path(f"{settings.MEDIA_URL.lstrip('/')}<path:name>", media.serve_picture),
]
handler400 = "kyndo.error_pages.bad_request"
handler403 = "kyndo.error_pages.permission_denied"
handler404 = "kyndo.error_pages.page_not_found"
handler500 = "kyndo.error_pages.server_error"
