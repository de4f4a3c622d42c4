// Draws a rule on a frame and on the badge of a rarity: cards/admin/frame.py, cards/admin/badge.py.
"use strict";
const cardsFrame = (() => {
  const WHITE = 1, BLACK = 0;

  function getLuminance(color) {
    const channels = [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16) / 255);
    const linear = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  }

  const getContrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);

  function chooseTextColor(color) {
    const luminance = getLuminance(color);
    return getContrast(luminance, WHITE) > getContrast(luminance, BLACK) ? "#FFFFFF" : "#000000";
  }

  // A rule is {color, glow, badge}; undefined for a rarity that has none.
  function draw(frame, rule) {
    frame.dataset.rule = rule ? "yes" : "no";
    frame.dataset.glow = rule?.glow ? "yes" : "no";
    frame.dataset.icon = rule?.badge ?? "";
    if (rule) frame.style.setProperty("--frame", rule.color);
    else frame.style.removeProperty("--frame");
  }

  function drawBadge(parent, rarity, rule) {
    const pill = document.createElement("span");
    const color = rule?.color ?? "#E5E7EB";
    Object.assign(pill, { className: "cards-badge", textContent: rarity });
    Object.assign(pill.style, { background: color, color: chooseTextColor(color) });
    parent.replaceChildren(...(rarity ? [pill] : []), ...(rarity && !rule ? [" has no rule: no thumbnail"] : []));
  }

  return { draw, drawBadge };
})();
