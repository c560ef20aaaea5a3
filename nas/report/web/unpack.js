"use strict";

/** The data of the page: compressed JSON, which the browser unpacks by itself. */
async function unpack() {
  const letters = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(plain).text());
}

/** An element with text in it (never markup) and other elements after it. */
function make(tag, text = "", kind = "", ...inside) {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (kind) made.className = kind;
  made.append(...inside);
  return made;
}

/** The colour that a variable of the page's style has now. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A number for people: few digits, large ones in groups of three. */
function short(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e4) return Math.round(value).toLocaleString("en");
  return String(+value.toPrecision(digits));
}

/** A reward: four decimals, or four digits where these say more. */
function rewarded(value) {
  if (value === null) return "–";
  return value === 0 || Math.abs(value) >= 0.1 ? value.toFixed(4) : value.toPrecision(4);
}

/** A large count as 12.3 k or 4.2 M. */
function count(value) {
  if (value === null) return "–";
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (Math.abs(value) >= size) return +(value / size).toPrecision(3) + unit;
  }
  return String(+value.toPrecision(3));
}

/** Seconds in the unit that fits them. */
function clock(seconds) {
  if (seconds === null) return "–";
  if (Math.abs(seconds) < 120) return `${+seconds.toFixed(1)} s`;
  if (Math.abs(seconds) < 7200) return `${+(seconds / 60).toFixed(1)} min`;
  return `${+(seconds / 3600).toFixed(1)} h`;
}

/** A score as people compare it: an accuracy as percent. */
function measured(value, metric) {
  if (value === null) return "–";
  return metric.endsWith("accuracy") ? `${(100 * value).toFixed(2)} %` : value.toFixed(2);
}
