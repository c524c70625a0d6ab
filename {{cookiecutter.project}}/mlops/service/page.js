const { target, classes, threshold, range } = JSON.parse(document.querySelector("#facts").textContent);
const form = document.querySelector("form"), said = document.querySelector("#said"), bars = document.querySelector("#bars");
const faults = document.querySelector("#faults"), whole = document.querySelector("details"), filter = document.querySelector("#filter");
const controls = [...form.querySelectorAll("[data-name]")], key = document.querySelector("#key");
const address = new URL(".", location).href.slice(0, -1).replaceAll("'", "%27");

// Texts of others: what could turn around or hide the text beside it becomes an escape of JSON.
const shown = text => String(text).replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
  found => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));
const percent = (share, digits = 1) => (100 * share).toFixed(digits) + " %";

function element(name, parent, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
}

// The row as text: a number is sent with all the digits that were typed.
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;
function jsonValue(control) {
  if (control.tagName === "SELECT") return control.value;
  if (control.value === "") return "null";
  if (control.type.startsWith("date")) return JSON.stringify(control.value);
  return JSON_NUMBER.test(control.value) ? control.value : String(Number(control.value));
}
const rowText = (name = name => name, value = value => value) =>
  "{" + controls.map(each => `\n  ${name(each.dataset.name)}: ${value(jsonValue(each))}`).join(",") + "\n}";
const ROWS = {
  curl: () => rowText().replaceAll("'", "'\\''"),
  python: () => rowText(undefined, value => ({ null: "None", true: "True", false: "False" })[value] ?? value),
  javascript: () => rowText(name => name === '"__proto__"' ? `[${name}]` : name),
};

function showSnippets() {
  for (const [code, template] of snippets) {
    const row = ROWS[code.parentElement.getAttribute("aria-labelledby")]();
    code.textContent = template.replace("ADDRESS", () => address).replace("ROW", () => row);
  }
}
const snippets = [...document.querySelectorAll(".snippet code")].map(code => [code, code.textContent]);
showSnippets();
form.addEventListener("input", showSnippets);
form.addEventListener("reset", () => setTimeout(() => { clear(); showSnippets(); }));

for (const snippet of document.querySelectorAll(".snippet")) {
  const status = snippet.querySelector("[role=status]");
  snippet.querySelector("button").addEventListener("click", () => {
    getSelection().selectAllChildren(snippet.querySelector("code"));
    // navigator.clipboard is missing where a page comes over http from another host.
    status.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C to copy";
    setTimeout(() => { status.textContent = ""; }, 4000);
  });
}

if (controls.length > 24) {
  filter.hidden = false;
  filter.addEventListener("input", showColumns);
}
function showColumns() {
  const wanted = filter.querySelector("input").value.toLowerCase();
  let number = 0;
  for (const control of controls) {
    const field = control.parentElement;
    field.hidden = !field.querySelector("label").textContent.toLowerCase().includes(wanted);
    number += !field.hidden;
  }
  filter.querySelector("[role=status]").textContent = `${number} of ${controls.length}`;
}

function clear() {
  for (const place of form.querySelectorAll(".fault")) place.textContent = "";
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  for (const place of [bars, faults, said]) place.replaceChildren();
  whole.hidden = true;
}

// Says what is wrong with a field beside it, and links to it.
function mark(control, text, isWarning) {
  control.parentElement.hidden = false;
  const place = control.parentElement.querySelector(".fault");
  place.textContent = text;
  place.classList.toggle("warning", isWarning);
  if (!isWarning) control.setAttribute("aria-invalid", "true");
  const link = element("a", element("li", faults), `${control.parentElement.querySelector("label").textContent}: ${text}`);
  link.href = `#${control.id}`;
}

function markFaults(found) {
  for (const { column, expected, came, severity } of found) {
    const text = shown(`${severity === "warning" ? "Warning: expected" : "Expected"} ${expected}, got ${came}`);
    const control = controls.find(each => JSON.parse(each.dataset.fault) === column);
    if (control) mark(control, text, severity === "warning");
    else element("li", faults, `${shown(column)}: ${text}`);
  }
}

function showBar(row, share, limit) {
  const bar = element("span", row);
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true");
  if (share !== null) element("i", bar).style.width = `${100 * share}%`;
  if (limit !== null) element("b", bar).style.left = `${100 * limit}%`;
}

function showShares(shares, limit) {
  const table = element("table", bars);
  for (const [name, share] of shares) {
    const row = element("tr", table);
    element("th", row, shown(name)).scope = "row";
    showBar(element("td", row), share, limit);
    element("td", row, percent(share));
  }
}

function showClass({ prediction, probability }) {
  const shares = classes.map(name => [name, probability[name]]);
  if (threshold === null) {
    said.textContent = shown(`${target} is ${prediction}, with a probability of ${percent(probability[prediction])}.`);
    showShares(shares.sort(([, one], [, other]) => other - one), null);
    return;
  }
  const [name, share] = shares[1];
  const digits = percent(share) === percent(threshold) ? 5 : 1;
  const relation = prediction === name ? "reaches" : "is below";
  said.textContent = shown(`${target} is ${prediction}: the probability of ${name}, ${percent(share, digits)}, ` +
    `${relation} the threshold of ${percent(threshold, digits)}.`);
  showShares([shares[1]], threshold);
}

function showNumber({ prediction }) {
  if (!range) {
    said.textContent = shown(`${target} is ${prediction}.`);
    return;
  }
  const [low, high] = range, digits = Math.min(100, Math.max(0, 3 - Math.floor(Math.log10(high - low))));
  const [value, from, to] = [prediction, low, high].map(number => String(Number(number.toFixed(digits))));
  said.textContent = shown(`${target} is ${value}.`);
  showBar(bars, null, Math.min(1, Math.max(0, (prediction - low) / (high - low))));
  const ends = element("div", bars);
  ends.className = "ends";
  element("span", ends, from);
  element("span", ends, to);
  element("p", bars, "At least eight of ten predictions for the test rows lie between these two.").className = "hint";
}

function showAnswer({ version, predictions: [first] }, milliseconds) {
  (classes.length ? showClass : showNumber)(first);
  markFaults(first.warnings ?? []);
  element("p", bars, shown(`Answered by ${version} in ${milliseconds} ms.`)).className = "hint";
  whole.scrollIntoView({ block: "nearest" });
}

function showProblem(status, { error, faults: found = [] }) {
  if (status === 401 && key) mark(key, shown(error), false);
  said.textContent = found.length ? "The row can't be answered:" : shown(error);
  markFaults(found);
  form.querySelector("[aria-invalid]")?.focus();
}

async function ask() {
  const headers = { "Content-Type": "application/json" }, start = performance.now();
  if (key?.value) headers["X-API-Key"] = key.value;
  const response = await fetch("predict", { method: "POST", headers, body: rowText() });
  const content = await response.json(), milliseconds = Math.round(performance.now() - start);
  clear(); // another answer may have come meanwhile
  whole.hidden = false;
  whole.querySelector("pre").textContent = shown(`${response.status} ${JSON.stringify(content, null, 1)}`);
  if (response.ok) showAnswer(content, milliseconds);
  else showProblem(response.status, content);
}

form.addEventListener("submit", event => {
  event.preventDefault();
  clear();
  const unreadable = controls.filter(each => each.validity.badInput);
  if (unreadable.length) {
    said.textContent = "The row can't be sent:";
    for (const each of unreadable) mark(each, each.type.startsWith("date") ? "This is not a whole date." : "This is not a number.", false);
    unreadable[0].focus();
    return;
  }
  ask().catch(error => {
    said.textContent = shown(`The service gave no answer: ${error.message}`);
  });
});
