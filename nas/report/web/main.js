const PAGE = { experiments: [], orders: [], charts: [] };

/** Redraws what has colours of its own when these change. */
function redraw() {
  for (const canvas of document.querySelectorAll("canvas")) canvas.dispatchEvent(new Event("theme"));
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  redraw();
}

/** Looks for a newer page now and then, unless somebody is reading a child or has typed something. */
function refresh(seconds) {
  setInterval(() => {
    const busy = document.getElementById("child").open || [...document.querySelectorAll("input")].some((field) => field.value);
    if (!busy) location.reload();
  }, 1000 * seconds);
}

async function main() {
  PAGE.experiments = (await unpack()).experiments;
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const place = Number(figure.dataset.place);
    CURVES[figure.dataset.chart](figure, PAGE.experiments[place], place, PAGE.experiments);
  }
  for (const box of document.querySelectorAll(".children")) childrenTable(Number(box.dataset.place), box);
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", switchTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const dialog = document.getElementById("child");
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  addEventListener("hashchange", followAddress);
  followAddress();
  const seconds = Number(document.body.dataset.refresh);
  if (seconds) refresh(seconds);
  document.body.dataset.ready = "yes";
}

main();
