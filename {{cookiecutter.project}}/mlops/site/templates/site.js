for (const table of document.querySelectorAll("table[data-sorted]")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true }).compare;
  for (const [column, head] of heads.entries()) head.firstChild.onclick = () => {
    const down = head.ariaSort === "ascending" ? -1 : 1;
    for (const each of heads) each.ariaSort = null;
    head.ariaSort = down < 0 ? "descending" : "ascending";
    const text = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => a - b || words(a, b);
    body.append(...[...body.rows].sort((a, b) => down * order(text(a), text(b))));
  };
}
for (const input of document.querySelectorAll("[data-filter]")) input.oninput = () => {
  const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
  const wanted = input.value.toLowerCase().split(/\s+/);
  for (const row of rows) row.hidden = !wanted.every(word => row.textContent.toLowerCase().includes(word));
  document.getElementById("count").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} models`;
};
const form = document.getElementById("compare");
if (form) {
  const { names, values, models } = JSON.parse(document.getElementById("facts").textContent);
  const cell = (row, kind, text) => {
    const made = row.appendChild(document.createElement(kind));
    made.textContent = text;
  };
  form.onchange = () => {
    const chosen = [form.elements.from.value, form.elements.to.value], rows = [];
    const [old, now] = chosen.map(name => models[name].map(at => at < 0 ? "-" : values[at]));
    for (const [at, name] of names.entries()) if (old[at] !== now[at]) {
      const row = document.createElement("tr");
      cell(row, "th", name);
      for (const side of [old, now]) cell(row, "td", side[at]);
      rows.push(row);
    }
    const body = document.getElementById("differences");
    body.replaceChildren(...rows);
    if (!rows.length) cell(body.insertRow(), "td", "no difference");
    document.getElementById("command").textContent = `mlops compare ${chosen.map(name => name.includes(" ") ? `"${name}"` : name).join(" ")}`;
  };
  form.onchange();
}
