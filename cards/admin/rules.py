"""Presentation rules in the admin: seen on a sample card, ordered by hand, with how many cards wear each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from cards.admin.badge import format_color, format_rarity_badge
from cards.admin.frame import format_frame
from cards.admin.rarity import explain_missing_rule, get_rarity_badge, list_rarities
from cards.admin.rule_order import save_order
from cards.admin.wearers import Wearers, choose_sample, get_wearers_url, is_worn, read_samples
from cards.models import PresentationRule
from cards.thumbnails.badges import BADGES
from cards.thumbnails.stale import request_stale_rendering
from ops.admin.editing.audited import AuditedAdmin
from ops.admin.values.value_diff import Badge

# What a thumbnail shows of a rule.
_LOOK_FIELDS = {"rarity", "frame_color", "glow_effect", "badge_icon"}
# What a person types to delete a rule that cards wear.
_CONFIRM_FIELD = "rarity"


class ColorInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """The code of a colour beside a picker."""

    template_name = "cards/admin/color_input.html"


class BadgeSelect(UnfoldAdminSelectWidget):  # type: ignore[misc]
    """Offers the badges that can be drawn, and the rule's own."""

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> Any:
        unknown = [badge for badge in value if badge not in ("", *BADGES)]
        self.choices = [
            ("", "No badge"),
            *((badge, badge) for badge in BADGES),
            *((badge, f"{badge} (cannot be drawn)") for badge in unknown),
        ]
        return super().optgroups(name, value, attrs)


@admin.register(PresentationRule)
class PresentationRuleAdmin(AuditedAdmin):
    actions = None
    search_fields = ["rarity"]
    readonly_fields = ["created_at", "updated_at"]
    change_list_template = "cards/admin/rules.html"
    change_form_template = "cards/admin/rule.html"
    delete_confirmation_template = "cards/admin/delete_rule.html"
    fieldsets = [
        (None, {"fields": ["rarity", "frame_color", "glow_effect", "badge_icon"]}),
        ("More", {"fields": ["sort_order", "metadata", "created_at", "updated_at"]}),
    ]

    class Media:
        css = {"all": ["ops/admin.css", "cards/admin.css"]}
        js = ["cards/frame.js", "cards/rule.js"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.order_view)
        return [path("order/", view, name="cards_presentationrule_order"), *super().get_urls()]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        widget = {"frame_color": ColorInput, "badge_icon": BadgeSelect}.get(db_field.name)
        return super().formfield_for_dbfield(
            db_field, request, **kwargs, **({"widget": widget} if widget else {})
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Propose the place after the last rule."""
        last = PresentationRule.objects.last()
        data: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"sort_order": last.sort_order + 10 if last else 10, **data}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        wearers, samples = Wearers.estimate(), read_samples()
        rules = [
            {
                "rule": rule,
                "frame": format_frame(rule, choose_sample(samples, rule.rarity)),
                "badge": format_rarity_badge(rule.rarity, rule.frame_color),
                "color": format_color(rule.frame_color),
                "wearers": wearers.describe(rule.rarity),
                "wearers_url": get_wearers_url(rule.rarity),
            }
            for rule in PresentationRule.objects.all()
        ]
        without_rule = [
            {
                "rarity": rarity,
                "wearers": wearers.describe(rarity),
                "wearers_url": get_wearers_url(rarity),
                "add_url": f"{reverse('admin:cards_presentationrule_add')}?{urlencode({'rarity': rarity})}",
            }
            for rarity in wearers.list_without_rule(list_rarities())
        ]
        context = {
            "rules": rules,
            "without_rule": without_rule,
            "may_order": self.has_change_permission(request),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def order_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        moved = save_order(request)
        url = reverse("admin:cards_presentationrule_changelist")
        return HttpResponseRedirect(f"{url}#rule-{moved}" if moved else url)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        rule = context.get("original")
        if rule is not None and request.method == "POST":  # a refused form has set its values on the rule
            rule = self.get_object(request, str(rule.pk))
        sample = choose_sample(read_samples(), rule.rarity if rule else "")
        context["frame"] = format_frame(rule, sample)
        context["preview"] = {"badges": [*BADGES]}
        if rule:
            context["badge"] = format_rarity_badge(rule.rarity, rule.frame_color)
            context["wearers"] = Wearers.estimate().describe(rule.rarity)
            context["wearers_url"] = get_wearers_url(rule.rarity)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not _LOOK_FIELDS.isdisjoint(form.changed_data):
            request_stale_rendering(request.user.get_username())
            messages.info(request, f"The workers draw the thumbnails of {obj} again, in the background.")
        if obj.badge_icon not in ("", *BADGES):
            messages.warning(
                request,
                f"The badge “{obj.badge_icon}” of {obj} does not exist, so none is drawn."
                f" Badges: {', '.join(BADGES)}.",
            )
        if change and "rarity" in form.changed_data:
            self._warn_missing_rules(request, [form.base_values["rarity"]])

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Ask for the rarity in words before a rule is deleted that cards wear."""
        rule: Any = self.get_object(request, unquote(object_id))
        context = dict(extra_context or {})
        if rule is not None and self.has_delete_permission(request, rule) and is_worn(rule.rarity):
            if (
                request.method == "POST"
                and request.POST.get(_CONFIRM_FIELD, "").strip() != rule.rarity.strip()
            ):
                messages.error(
                    request, f"Nothing was deleted: to delete the rule, type its rarity, {rule.rarity}."
                )
                return HttpResponseRedirect(request.get_full_path())
            context |= {
                "wearers": Wearers.estimate().describe(rule.rarity),
                "wearers_url": get_wearers_url(rule.rarity),
                "confirm_field": _CONFIRM_FIELD,
            }
        return super().delete_view(request, object_id, context)

    def _delete_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        super()._delete_rows(request, rows)
        self._warn_missing_rules(request, [rule.rarity for rule in rows])

    def _warn_missing_rules(self, request: HttpRequest, rarities: list[str]) -> None:
        for rarity in rarities:
            if (problem := explain_missing_rule(rarity)) and is_worn(rarity):
                messages.warning(request, f"{problem} Without a rule its cards get no thumbnail.")

    def get_history_badges(self) -> Mapping[str, Badge]:
        return {"rarity": get_rarity_badge(), "frame_color": format_color}
