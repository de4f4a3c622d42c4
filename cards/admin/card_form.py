"""The form of a card: its rarity and pack are chosen from what exists, its picture may be uploaded."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.functional import cached_property
from unfold.widgets import UnfoldAdminImageFieldWidget, UnfoldAdminTextInputWidget

from cards.admin.rarity import explain_missing_rule, list_rarities
from cards.models import Card
from ops.admin.editing.optimistic_locking import OptimisticLockingForm
from ops.sql.distinct import list_distinct

UPLOAD_FIELD = "upload"
MAX_UPLOAD_BYTES = 20 * 1024 * 1024
_MAX_OFFERED_PACKS = 500


class PackInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """Offers the packs that exist; another one may be typed."""

    template_name = "cards/admin/pack_input.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        packs = list_distinct(Card, "pack_id", _MAX_OFFERED_PACKS + 1)
        context["packs"] = packs[:_MAX_OFFERED_PACKS]
        context["has_more"] = len(packs) > _MAX_OFFERED_PACKS
        context["widget"]["attrs"]["list"] = f"{context['widget']['attrs'].get('id', name)}_list"
        return context


class CardForm(OptimisticLockingForm):
    """An uploaded picture becomes the value of ``image``; it is stored once everything else is valid."""

    upload = forms.FileField(
        label="Picture",
        required=False,
        help_text=f"AVIF, GIF, JPEG, PNG or WebP, at most {filesizeformat(MAX_UPLOAD_BYTES)}.",
        widget=UnfoldAdminImageFieldWidget(
            {"accept": "image/avif,image/gif,image/jpeg,image/png,image/webp"}
        ),
    )
    _upload: Any = None

    @cached_property
    def changed_data(self) -> list[str]:
        names = list(super().changed_data)
        if UPLOAD_FIELD not in names:
            return names
        return [*(name for name in names if name not in (UPLOAD_FIELD, "image")), "image"]

    def clean_rarity(self) -> str:
        return self._clean_rarity("rarity")

    def clean_rarity_v2(self) -> str:
        return self._clean_rarity("rarity_v2")

    def _clean_rarity(self, name: str) -> str:
        """Refuse a rarity without a rule, unless the card has it already, or there are no rules at all."""
        rarity: str = self.cleaned_data[name]
        if (
            name in self.changed_data
            and rarity
            and list_rarities()
            and (problem := explain_missing_rule(rarity))
        ):
            raise ValidationError(problem)
        return rarity

    def clean_upload(self) -> Any:
        file = self.cleaned_data[UPLOAD_FIELD]
        if file and file.size > MAX_UPLOAD_BYTES:
            raise ValidationError(
                f"{file.name} has {filesizeformat(file.size)}. Upload a picture of at most"
                f" {filesizeformat(MAX_UPLOAD_BYTES)}."
            )
        return file

    def clean(self) -> dict[str, Any] | None:
        if file := self.cleaned_data.get(UPLOAD_FIELD):
            self._use_upload(file)
        return super().clean()

    def _use_upload(self, file: Any) -> None:
        # Pillow takes a twentieth of a second to import, for every command that loads the admin.
        from cards.packs.uploads import Upload
        from cards.thumbnails.illustration import InvalidImage

        try:
            self._upload = Upload.validate(file, self.cleaned_data.get("pack_id") or self.instance.pack_id)
        except InvalidImage as exc:
            self.add_error(UPLOAD_FIELD, f"{exc}. Choose another file.")
        else:
            self.cleaned_data["image"] = self._upload.name

    def _get_unchanged_fields(self) -> list[str]:
        return [name for name in super()._get_unchanged_fields() if name != UPLOAD_FIELD]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self._upload is None:
            return
        if self.errors:
            self.add_error(UPLOAD_FIELD, "Choose the picture again: browsers do not keep a file.")
            return
        try:
            self._upload.store()
        except OSError as exc:
            self.add_error(UPLOAD_FIELD, f"The picture cannot be stored: {exc.strerror or exc}. Try again.")
