"""Cards in the admin: search, audited editing of single cards, operations and exports as bulk actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cards.admin.badge import NO_RULE_COLOR, format_rarity_badge
from cards.admin.card_form import MAX_UPLOAD_BYTES, UPLOAD_FIELD, CardForm, PackInput
from cards.admin.filters import RarityFilter, TagFilter, ThumbnailFilter
from cards.admin.frame import format_frame, get_frame_styles
from cards.admin.picture import format_picture, format_tile_picture
from cards.admin.rarity import RaritySelect, explain_missing_rule, get_rarity_badge
from cards.models import Card, PresentationRule
from cards.rarity import rarity_field
from cards.search import filter_matching
from cards.thumbnails.problem import read_thumbnail_state
from cards.thumbnails.stale import is_external_url, request_stale_rendering
from ops.admin.audit.undo import UndoAdmin
from ops.admin.change_sets.sheet import SheetAdmin
from ops.admin.editing.audited import AuditedAdmin
from ops.admin.lists.filters import MissingFilter, SuggestingFilter
from ops.admin.lists.last_change_filter import LastChangeFilter
from ops.admin.lists.neighbours import NeighboursAdmin
from ops.admin.starting.export_action import ExportableAdmin
from ops.admin.uploads.uploading import UploadableAdmin
from ops.admin.values.value_diff import Badge


@admin.register(Card)
class CardAdmin(SheetAdmin, UndoAdmin, UploadableAdmin, NeighboursAdmin, ExportableAdmin, AuditedAdmin):
    list_display = [
        "picture",
        "card_id",
        "title",
        "rarity_display",
        "rarity_v2",
        "pack_id",
        "tags_display",
        "updated_at",
    ]
    hidden_columns = ["rarity_v2", "tags_display"]
    has_grid = True
    palette_rows = 5
    list_display_links = ["picture", "card_id"]
    search_fields = ["search__text"]
    search_key = "search__pk"
    search_help_text = "Title, card id or pack"
    no_match_help = "A part of a word is enough; accents, capitals and the order of words do not matter."
    ordering = ["-pk"]
    sortable_by = ["card_id"]
    upload_suffixes = ".json,.jsonl,.ndjson,.csv"
    upload_help = (
        "A pack of cards, or the cards of an export, also after a spreadsheet has changed and saved them."
        " Cards are matched by their card id; what the file does not give stays. Pictures are not uploaded"
        " with it."
    )
    sheet_key = "card_id"
    form = CardForm
    change_form_template = "cards/admin/card.html"
    readonly_fields = ["created_at", "updated_at"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "title",
                    "rarity",
                    "rarity_v2",
                    "pack_id",
                    UPLOAD_FIELD,
                    "tags",
                    "description",
                    "metadata",
                ]
            },
        ),
        ("More", {"fields": ["card_id", "image", "thumbnail", "created_at", "updated_at"]}),
    ]

    class Media:
        css = {"all": ["cards/admin.css", "cards/list.css"]}
        js = ["cards/frame.js", "cards/card.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Card]:
        rows: QuerySet[Card] = super().get_queryset(request)
        rarity = rarity_field()
        rule = PresentationRule.objects.filter(rarity=OuterRef(rarity))
        return rows.annotate(shown_rarity=F(rarity), frame_color=Subquery(rule.values("frame_color")[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Card], search_term: str
    ) -> tuple[QuerySet[Card], bool]:
        return filter_matching(queryset, search_term), False

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters: list[Any] = [
            (rarity_field(), RarityFilter),
            ("pack_id", SuggestingFilter),
            ("tags", TagFilter),
            ThumbnailFilter,
        ]
        if request.user.has_perm("ops.view_auditlog"):
            filters.append(LastChangeFilter)
        return [*filters, ("rarity_v2", MissingFilter)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Offer the rarity that is read; the other of the two, which follows it, among the rest."""
        [(title, main), (more, rest)] = super().get_fieldsets(request, obj)
        other = {"rarity": "rarity_v2", "rarity_v2": "rarity"}[rarity_field()]
        fields = [name for name in main["fields"] if name != other]
        if obj is None:
            fields.insert(1, "card_id")
            others = [name for name in rest["fields"] if name != "card_id"]
        else:
            others = [other, *rest["fields"]]
            if not self.has_change_permission(request, obj):
                fields.remove(UPLOAD_FIELD)
        return [(title, {**main, "fields": fields}), (more, {**rest, "fields": others})]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("rarity", "rarity_v2") and (rules := _read_rules(request)):
            kwargs["widget"] = RaritySelect([*rules])
        if db_field.name == "pack_id":
            kwargs["widget"] = PackInput
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        others = Card.objects.filter(pack_id=obj.pack_id).exclude(pk=obj.pk)
        if "pack_id" in form.changed_data and not others.exists():
            messages.warning(request, f"“{obj.pack_id}” is a new pack: no other card is in it.")

    def after_write(self, request: HttpRequest, saved: list[Any]) -> None:
        keys = [card.pk for card in saved]
        if keys:
            request_stale_rendering(request.user.get_username(), *keys)
        for rarity in Card.objects.filter(pk__in=keys).values_list(rarity_field(), flat=True):
            if problem := explain_missing_rule(rarity):
                messages.warning(request, f"{problem} Without a rule the card gets no thumbnail.")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        card = context.get("original")
        if card is not None and request.method == "POST":  # a refused form has set its values on the card
            card = self.get_object(request, str(card.pk))
        context.update(self._get_preview_context(request, card))
        return super().render_change_form(request, context, *args, **kwargs)

    def _get_preview_context(self, request: HttpRequest, card: Any) -> dict[str, Any]:
        rules = _read_rules(request)
        return {
            "frame": format_frame(rules.get(card.shown_rarity) if card else None, card),
            "badge": format_rarity_badge(card.shown_rarity, card.frame_color) if card else "",
            "thumbnail": read_thumbnail_state(card) if card else None,
            "preview": {
                "rarity": rarity_field(),
                "max_bytes": MAX_UPLOAD_BYTES,
                "rules": get_frame_styles(rules.values()),
            },
        }

    def get_sheet_columns(self, request: HttpRequest) -> list[str]:
        return ["title", rarity_field(), "pack_id", "tags", "description", "metadata"]

    def get_sheet_choices(self, request: HttpRequest) -> Mapping[str, list[str]]:
        return {rarity_field(): [*_read_rules(request)]}

    def get_history_badges(self) -> Mapping[str, Badge]:
        return dict.fromkeys(("rarity", "rarity_v2"), get_rarity_badge())

    def describe_row(self, row: Any) -> tuple[str, str]:
        return row.title, f"card {row.card_id}, {row.shown_rarity}"

    def format_tile(self, row: Any) -> SafeString:
        return format_html(
            '<span class="cards-tile" style="--rule:{}">{}<strong class="cards-tile-title">{}</strong>'
            '<span class="cards-tile-id">{}</span>{}</span>',
            row.frame_color or NO_RULE_COLOR,
            format_tile_picture(row.thumbnail or row.image),
            row.title,
            row.card_id,
            self.rarity_display(row),
        )

    @admin.display(description="tags")
    def tags_display(self, card: Card) -> str:
        return ", ".join(card.tags)

    @admin.display(description="")
    def picture(self, card: Any) -> str:
        picture = format_picture(card.thumbnail or card.image, card.title, "cards-small")
        if card.frame_color is not None or not card.image or is_external_url(card.image):
            return picture
        mark = '<span class="cards-problem" title="{}">!</span>'
        return picture + format_html(mark, explain_missing_rule(card.shown_rarity))

    @admin.display(description="rarity", ordering="rarity")
    def rarity_display(self, card: Any) -> str:
        return format_rarity_badge(card.shown_rarity, card.frame_color)


def _read_rules(request: HttpRequest) -> Mapping[str, PresentationRule]:
    """Read the rules by rarity, once for a request."""
    if not hasattr(request, "presentation_rules"):
        rules = {rule.rarity: rule for rule in PresentationRule.objects.all()}
        request.presentation_rules = rules  # type: ignore[attr-defined]
    return request.presentation_rules  # type: ignore[attr-defined,no-any-return]
