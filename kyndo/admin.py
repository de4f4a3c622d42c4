"""Users and groups, with the theme of the rest of the admin: see `kyndo.account_rights`."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import ManyToManyField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.debug import sensitive_post_parameters
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from kyndo import login_throttle
from kyndo.account_rights import get_grantable_groups, get_permissions, may_manage
from kyndo.audited_accounts import AuditedAccountAdmin, audit_account
from kyndo.client_address import get_client_address
from kyndo.login import format_refusal
from ops.admin.values.key_validation import KeyValidatingAdmin

admin.site.unregister([User, Group])


class AccountAdmin(AuditedAccountAdmin, KeyValidatingAdmin):
    """Lets nobody but superusers change or delete an account with more permissions than their own."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_manage(request, obj)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offer only what the user has; nothing else can be there, or they could not open the form."""
        user: Any = request.user
        if not user.is_superuser and db_field.related_model is Group:
            kwargs["queryset"] = get_grantable_groups(user)
        elif not user.is_superuser:
            kwargs["queryset"] = get_permissions(user).select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)


def _may_manage(request: HttpRequest, account: Any) -> bool:
    return account is None or may_manage(request.user, account)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AccountAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    readonly_fields = ["last_login", "date_joined"]  # facts, which the form would round to seconds

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the password, with the link to set it, and the superuser status only to superusers."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or request.user.is_superuser:
            return fieldsets
        hidden = {"password", "is_superuser"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in fieldsets
        ]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        user = self.get_object(request, unquote(id))
        if request.method != "POST" or user is None:
            return super().user_change_password(request, id, form_url)
        with audit_account(user, "admin_change", request):
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, AccountAdmin):
    pass


@sensitive_post_parameters()
def change_own_password(request: HttpRequest) -> HttpResponse:
    """The site's page, with an audit row. The old password is throttled as at the log-in."""
    if request.method != "POST":
        return admin.site.password_change(request)
    name, address = request.user.get_username(), get_client_address(request)
    if wait := login_throttle.count_attempt(name, address):
        messages.error(request, format_refusal(wait))
        return HttpResponseRedirect(request.path)
    user = User.objects.get_by_natural_key(name)
    with audit_account(user, "password_change", request):
        response: HttpResponse = admin.site.password_change(request)
    context = getattr(response, "context_data", {})  # a redirect has none
    if "form" not in context or "old_password" not in context["form"].errors:
        login_throttle.forget_attempt(name, address)
    return response
