// Redraws a rule on its sample card while its form is filled in, and keeps the picker and the code of a colour equal.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const data = document.getElementById("preview-data");
  const find = (name) => document.querySelector(`#content-main [name="${name}"]`);
  const [color, glow, badge, rarity] = ["frame_color", "glow_effect", "badge_icon", "rarity"].map(find);
  if (!data || !color) return;
  const { badges } = JSON.parse(data.textContent);
  const picker = document.querySelector(`[data-color-of="${color.id}"]`);
  const frame = document.querySelector("#rule-preview .cards-frame");
  const [changed, renamed] = ["preview-changed", "rarity-changed"].map((id) => document.getElementById(id));
  const isColor = (text) => /^#[0-9A-Fa-f]{6}$/.test(text);

  function update() {
    if (isColor(color.value)) picker.value = color.value;
    const rule = { color: picker.value, glow: glow.checked, badge: badges.includes(badge.value) ? badge.value : "" };
    cardsFrame.draw(frame, rule);
    cardsFrame.drawBadge(document.getElementById("preview-badge"), rarity.value, rule);
    if (!changed) return;
    const isBadgeChanged = [...badge.options].some((option) => option.selected !== option.defaultSelected);
    renamed.hidden = rarity.value === rarity.defaultValue;
    changed.hidden = color.value === color.defaultValue && glow.checked === glow.defaultChecked && !isBadgeChanged;
  }

  picker.addEventListener("input", () => {
    color.value = picker.value.toUpperCase();
    color.dispatchEvent(new Event("input", { bubbles: true }));
  });
  for (const field of [color, glow, badge, rarity]) field.addEventListener("input", update);
  addEventListener("pageshow", update);
});
