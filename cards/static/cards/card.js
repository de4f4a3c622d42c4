// Redraws the preview of a card while its form is filled in, before anything is saved.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const data = document.getElementById("preview-data");
  if (!data) return;
  const { rarity: rarityField, max_bytes: maxBytes, rules } = JSON.parse(data.textContent);
  const frame = document.querySelector("#card-preview .cards-frame");
  const [picture, noPicture] = frame.querySelector(".cards-window").children;
  const badge = document.getElementById("preview-badge");
  const first = { src: picture.getAttribute("src"), reason: noPicture.textContent };
  const find = (name) => document.querySelector(`#content-main [name="${name}"]`);
  const [title, rarity, image, upload, pack] = ["title", rarityField, "image", "upload", "pack_id"].map(find);

  function showPicture(src, reason) {
    picture.hidden = !src;
    noPicture.hidden = Boolean(src);
    if (src) picture.src = src;
    else noPicture.textContent = reason;
  }

  function showRule() {
    const rule = rules[rarity.value];
    cardsFrame.draw(frame, rule);
    cardsFrame.drawBadge(badge, rarity.value, rule);
  }

  function showUpload() {
    const [file] = upload.files;
    upload.setCustomValidity("");
    if (!file) return showImage();
    if (file.size > maxBytes) {
      upload.value = "";
      return showPicture("", `${file.name} is larger than ${maxBytes / 1024 / 1024} MB. Choose a smaller picture.`);
    }
    const reader = new FileReader();
    reader.addEventListener("load", () => showPicture(reader.result, ""));
    reader.readAsDataURL(file);
  }

  function showImage() {
    if (image.value === image.defaultValue) showPicture(first.src, first.reason);
    else showPicture("", image.value ? "This picture is shown once it is saved." : "No picture yet.");
  }

  function showPack() {
    const packs = [...pack.list.options].map((option) => option.value);
    document.getElementById("new-pack").hidden = !pack.value.trim() || packs.includes(pack.value.trim());
  }

  function showTitle() {
    document.getElementById("preview-title").textContent = title.value;
  }

  function update(event) {
    if (event.target === title) showTitle();
    else if (event.target === rarity) showRule();
    else if (event.target === upload) showUpload();
    else if (event.target === image) showImage();
    else if (event.target === pack) showPack();
    else return;
    if (event.target !== pack) document.getElementById("preview-changed").hidden = false;
  }

  picture.addEventListener("error", () => {
    const isUpload = picture.src.startsWith("data:");
    showPicture("", isUpload ? "This file is no picture that a browser can show." : "The picture is not in the storage, or cannot be shown.");
  });
  if (picture.src && picture.complete && !picture.naturalWidth) picture.dispatchEvent(new Event("error"));
  if (!rarity) return;
  document.addEventListener("input", update);
  document.addEventListener("change", update);
  addEventListener("pageshow", () => {
    showTitle();
    showRule();
  });
});
