for (const table of document.querySelectorAll("table[data-sorted]")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true }).compare;
  for (const [column, head] of heads.entries()) head.firstChild.onclick = () => {
    const down = head.ariaSort === "ascending" ? -1 : 1;
    for (const each of heads) each.ariaSort = null;
    head.ariaSort = down < 0 ? "descending" : "ascending";
    const text = row => row.cells[column].textContent;
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
