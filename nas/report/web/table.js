const LINES = 50;
const LETTERS = new Intl.Collator("en", { numeric: true });

/** What can be asked for in the search field beside words, as in reward>0.5. */
const ASKED = /^(child|seed|round|reward|score|parameters|seconds)(<=|>=|<|>|=)(-?[\d.]+(?:e-?\d+)?)$/i;

/** The table of all children of an experiment: sorted by any column, filtered, fifty lines at a time. */
function childrenTable(place, box) {
  const experiment = PAGE.experiments[place];
  const { columns, architectures, statuses, messages } = experiment.children;
  const seeds = experiment.seeds;
  const value = {
    child: (i) => columns.number[i], seed: (i) => seeds[columns.search[i]], round: (i) => columns.round[i],
    status: (i) => statuses[columns.status[i]], reward: (i) => columns.reward[i], score: (i) => columns.score[i],
    parameters: (i) => columns.parameters[i], seconds: (i) => columns.seconds[i],
    architecture: (i) => architectures[columns.architecture[i]],
  };
  const shown = {
    status: (i) => value.status(i).replaceAll("_", " "), reward: (i) => rewarded(columns.reward[i]),
    score: (i) => measured(columns.score[i], experiment.metric), parameters: (i) => count(columns.parameters[i]),
    seconds: (i) => clock(columns.seconds[i]), architecture: value.architecture,
    seed: (i) => String(value.seed(i)), round: (i) => String(columns.round[i]),
  };
  const titles = {
    child: "child", seed: "seed", round: "round", status: "status", reward: "reward (proxy)",
    score: `${experiment.metric.replace("val_", "validation ").replaceAll("_", " ")} (proxy)`,
    parameters: "parameters", seconds: "training", architecture: "architecture",
  };
  const names = Object.keys(titles).filter((name) => name !== "seed" || seeds.length > 1);
  const all = columns.number.map((_, i) => i);
  const texts = all.map((i) => {
    const why = columns.message[i] === null ? "" : messages[columns.message[i]];
    return `${columns.number[i]} ${shown.status(i)} ${value.architecture(i)} ${why}`.toLowerCase();
  });
  let by = "reward", down = true, page = 0;

  const field = make("input");
  field.type = "search";
  field.placeholder = "3x3x24, reward>0.5, diverged …";
  const status = make("select");
  status.append(new Option("all", ""), ...statuses.map((name) => new Option(name.replaceAll("_", " "), name)));
  const filters = make("div", "", "filters", make("label", "Search", "", field), make("label", "Status", "", status));
  const head = make("tr"), body = make("tbody");
  const table = make("table", "", "", make("thead", "", "", head), body);
  const listed = make("div", "", "listed", table);
  listed.tabIndex = 0;
  listed.setAttribute("role", "region");
  listed.setAttribute("aria-label", `Children of ${experiment.name}`);
  const before = make("button", "Previous page"), after = make("button", "Next page"), where = make("span");
  where.setAttribute("role", "status");
  const pages = make("div", "", "pages", before, after, where);
  for (const name of names) {
    const button = make("button", titles[name]);
    button.addEventListener("click", () => {
      down = by === name ? !down : !["child", "round", "architecture", "status"].includes(name);
      by = name;
      page = 0;
      show();
    });
    const cell = make("th", "", "", button);
    cell.scope = "col";
    if (!["child", "status", "architecture"].includes(name)) cell.className = "number";
    cell.dataset.column = name;
    head.append(cell);
  }

  function matching() {
    const tests = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
      const asked = ASKED.exec(word);
      if (!asked) return (i) => texts[i].includes(word);
      const of = value[asked[1]], limit = Number(asked[3]);
      const holds = { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit, "=": (v) => v === limit }[asked[2]];
      return (i) => of(i) !== null && holds(of(i));
    });
    return all.filter((i) => (!status.value || value.status(i) === status.value) && tests.every((test) => test(i)));
  }

  function sorted(rows) {
    const of = value[by];
    const sign = down ? -1 : 1;
    return rows.sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      if (x === y) return a - b;
      if (x === null || y === null) return x === null ? 1 : -1;  // what has no value stands last
      return sign * (typeof x === "string" ? LETTERS.compare(x, y) : x - y);
    });
  }

  function show() {
    const rows = (PAGE.orders[place] = sorted(matching()));
    const last = Math.max(0, Math.ceil(rows.length / LINES) - 1);
    page = Math.min(page, last);
    body.replaceChildren(...rows.slice(page * LINES, (page + 1) * LINES).map(line));
    for (const cell of head.children) {
      if (cell.dataset.column === by) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const from = rows.length ? page * LINES + 1 : 0, to = Math.min(rows.length, (page + 1) * LINES);
    const whole = all.length === rows.length ? "" : ` of ${all.length.toLocaleString("en")} in all`;
    where.textContent = `${from.toLocaleString("en")}–${to.toLocaleString("en")} of ${rows.length.toLocaleString("en")} children${whole}`;
    before.disabled = page === 0;
    after.disabled = page === last;
  }

  function line(i) {
    const row = make("tr");
    for (const name of names) {
      if (name === "child") {
        const open = make("button", String(columns.number[i]), "open");
        open.setAttribute("aria-label", `Open child ${columns.number[i]}`);
        row.append(make("td", "", "", open));
        continue;
      }
      const cell = make("td", shown[name](i), ["status", "architecture"].includes(name) ? "" : "number");
      if (name === "status" && !["ok", "running", "waiting"].includes(value.status(i))) cell.className = "bad";
      if (name === "architecture") cell.title = value.architecture(i);
      row.append(cell);
    }
    row.addEventListener("click", () => openChild(place, i));
    return row;
  }

  field.addEventListener("input", () => { page = 0; show(); });
  status.addEventListener("change", () => { page = 0; show(); });
  before.addEventListener("click", () => { page--; show(); });
  after.addEventListener("click", () => { page++; show(); });
  box.append(filters, listed, pages);
  show();
}
