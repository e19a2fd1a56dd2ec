"use strict";
// Sorting of tables and filtering of samples. Without it the page shows everything in its own order.
(function () {
  const collator = new Intl.Collator("en", { numeric: true });

  function value(row, column) {
    const cell = row.cells[column];
    return cell.dataset.sort !== undefined ? Number(cell.dataset.sort) : cell.classList.contains("num") ? null : cell.textContent;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(String(a), String(b));
  }

  // First click ascending, second descending, third back to the page's order. Cells without a value stay last.
  function makeSortable(table) {
    const body = table.tBodies[0];
    const original = Array.from(body.rows);
    if (original.length < 2) return;
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      const button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.append(head.firstChild);
      head.append(button);
      button.addEventListener("click", function () {
        const before = head.getAttribute("aria-sort");
        const now = before === null ? "ascending" : before === "ascending" ? "descending" : null;
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        let rows = original.slice();
        if (now !== null) {
          head.setAttribute("aria-sort", now);
          const sign = now === "ascending" ? 1 : -1;
          const keyed = rows.map(function (row) { return [value(row, column), row]; });
          keyed.sort(function (x, y) {
            if (x[0] === null || y[0] === null) return (x[0] === null) - (y[0] === null);
            return sign * compare(x[0], y[0]);
          });
          rows = keyed.map(function (pair) { return pair[1]; });
        }
        body.append(...rows);
      });
    });
  }
  document.querySelectorAll("table.sortable").forEach(makeSortable);

  const form = document.getElementById("filters");
  if (form) {
    const cards = Array.from(document.querySelectorAll(".card"));
    const condition = document.getElementById("f-condition");
    const wrong = document.getElementById("f-wrong");
    const differ = document.getElementById("f-differ");
    const update = function () {
      let shown = 0;
      cards.forEach(function (card) {
        const wrongOnes = card.dataset.wrong.split(" ").filter(Boolean);
        const fits = (condition.value === "" || card.dataset.condition === condition.value) &&
          (wrong.value === "" || (wrong.value === "any" ? wrongOnes.length > 0 : wrongOnes.includes(wrong.value))) &&
          (!differ || !differ.checked || card.dataset.differ === "1");
        card.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      document.getElementById("f-count").textContent = shown + " of " + cards.length + " shown";
      document.getElementById("f-none").hidden = shown > 0;
    };
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    form.addEventListener("change", update);
    form.hidden = false;
    update();
  }

  // Folded tables are printed unfolded.
  let opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.from(document.querySelectorAll("details.fold:not([open])"));
    opened.forEach(function (fold) { fold.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (fold) { fold.open = false; });
  });
})();
