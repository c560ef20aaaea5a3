/** Opens the child in row `i` of an experiment's columns; the page's address then leads to it. */
function openChild(place, i) {
  const { columns } = PAGE.experiments[place].children;
  location.hash = `child-${place}-${columns.search[i]}-${columns.number[i]}`;
}

/** Shows the child that the address names, or closes the window if it names none. */
function followAddress() {
  const dialog = document.getElementById("child");
  const found = /^#child-(\d+)-(\d+)-(\d+)$/.exec(location.hash);
  const experiment = found && PAGE.experiments[+found[1]];
  const columns = experiment && experiment.children.columns;
  const row = columns ? columns.number.findIndex((number, i) => number === +found[3] && columns.search[i] === +found[2]) : -1;
  if (row < 0) {
    if (dialog.open) dialog.close();
    return;
  }
  dialog.replaceChildren(child(+found[1], row));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  dialog.dispatchEvent(new Event("shown"));
}

function child(place, i) {
  const experiment = PAGE.experiments[place];
  const { columns, architectures, statuses, messages, slots } = experiment.children;
  const text = architectures[columns.architecture[i]];
  const title = make("h2", `Child ${columns.number[i]} of ${experiment.name}${seedInWords(experiment, columns.search[i])}`);
  title.id = "child-title";
  const close = make("button", "Close", "push");
  close.addEventListener("click", () => document.getElementById("child").close());
  const order = PAGE.orders[place] && PAGE.orders[place].includes(i) ? PAGE.orders[place] : columns.number.map((_, n) => n);
  const here = order.indexOf(i);
  const steps = [["Previous", -1], ["Next", 1]].map(([name, step]) => {
    const button = make("button", name);
    button.disabled = order[here + step] === undefined;
    button.addEventListener("click", () => openChild(place, order[here + step]));
    return button;
  });
  const status = statuses[columns.status[i]];
  const facts = make("dl");
  const fact = (name, value, kind = "") => { if (value !== null) facts.append(make("dt", name), make("dd", value, kind)); };
  fact("status", status.replaceAll("_", " "), ["ok", "running", "waiting"].includes(status) ? "" : "bad");
  if (columns.message[i] !== null) fact("why", messages[columns.message[i]]);
  fact("reward (proxy)", short(columns.reward[i]));
  fact(`${experiment.metric.replaceAll("_", " ")} (proxy)`, measured(columns.score[i], experiment.metric));
  fact("parameters", columns.parameters[i] === null ? null : columns.parameters[i].toLocaleString("en"));
  fact("multiply-adds", columns.multiply_adds[i] === null ? null : columns.multiply_adds[i].toLocaleString("en"));
  fact("round", String(columns.round[i]));
  fact("training", clock(columns.seconds[i]));
  if (columns.slot[i] !== null) fact("ran on", slots[columns.slot[i]]);
  fact("waiting", waitInWords(experiment, i));
  const side = make("div", "", "", facts);
  const curve = columns.curve[i];
  if (curve.length) {
    const last = columns.epochs[i];
    const xs = curve.map((_, n) => (curve.length > 1 ? 1 + Math.round((n * (last - 1)) / (curve.length - 1)) : last));
    const figure = make("figure", "", "chart", make("figcaption", "", "", make("strong", experiment.metric.replaceAll("_", " ")), make("span", ` over ${last} epochs`)));
    new Chart(figure, {
      ...words(figure), labelX: "epoch", showY: (value) => percents(value, experiment.metric),
      layers: [{ kind: "line", xs, ys: curve, colour: "link0" }, { kind: "points", xs, ys: curve, colour: "link0", size: 2.5, alpha: 1 }],
      told: { count: xs.length, at: (n) => [xs[n], curve[n]], text: (n) => `epoch ${xs[n]}: ${measured(curve[n], experiment.metric)}` },
    });
    side.append(figure);
  }
  side.append(make("div", "", "", make("p", "Its text form:", "note"), make("code", text)));
  const drawn = make("div", "", "scroll drawn");
  drawn.tabIndex = 0;
  drawn.append(drawing(experiment.children, columns.architecture[i], text));
  const [width, height] = experiment.children.drawings[columns.architecture[i]];
  return make("div", "", width > height ? "child flat" : "child", make("div", "", "top", title, ...steps, close), drawn, side);
}

/** The drawing of an architecture, put together from its pieces, in which every text was escaped. */
function drawing({ drawings, pieces }, architecture, text) {
  const [width, height, ...parts] = drawings[architecture];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "drawing");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.style.setProperty("--wide", `${width}px`);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Drawing of ${text}`);
  svg.innerHTML = parts.map((part) => pieces[part]).join("");
  return svg;
}
