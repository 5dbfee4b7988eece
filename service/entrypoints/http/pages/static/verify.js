// The whole form takes a dropped file. Without this script, the file input does all of it.
"use strict";
(() => {
  const form = document.querySelector("form.upload");
  const input = form && form.querySelector("input[type=file]");
  if (!input || typeof DataTransfer === "undefined") return;
  const hint = document.createElement("p");
  hint.className = "help drop";
  hint.textContent = form.dataset.drop;
  input.insertAdjacentElement("afterend", hint);
  const chosen = document.createElement("p");
  chosen.className = "visually-hidden";
  chosen.setAttribute("role", "status");
  form.append(chosen);
  const mark = (on) => form.classList.toggle("over", on);
  form.addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  form.addEventListener("dragleave", () => mark(false));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer.files;
    if (!file) return;
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    chosen.textContent = `${form.dataset.chosen} ${file.name}`;
  });
})();
