/** The charts of an experiment, by the name that its figure has. */
const CURVES = {
  rewards(figure, experiment, place) {
    const { columns, statuses } = experiment.children;
    const done = rowsWith(columns, "reward");
    const many = done.length > 3000;
    const ok = statuses.indexOf("ok");
    const layers = [];
    const keys = [["link0", "a child", "dot"], ["fail", "failed", "dot"]];
    if (experiment.band) {
      const { low, high, best } = experiment.band;
      layers.push({ kind: "band", xs: low.children, low: low.values, high: high.values, colour: "soft" });
      layers.push({ kind: "line", xs: best.children, ys: best.values, colour: "soft", dash: [6, 4] });
      keys.push(["soft", `${experiment.beside}: middle 80 %`, "area"], ["soft", "and its best so far", "dashed"]);
    }
    layers.push({
      kind: "points", xs: done.map((i) => columns.number[i] + 1), ys: done.map((i) => columns.reward[i]),
      colour: (i) => (columns.status[done[i]] === ok ? "link0" : "fail"), size: many ? 1.3 : 2.4, alpha: many ? 0.3 : 0.6,
    });
    for (const { mean, best } of experiment.rewards) {
      layers.push({ kind: "line", xs: best.children, ys: best.values, colour: "link2", step: true });
      layers.push({ kind: "line", xs: mean.children, ys: mean.values, colour: "link1", width: 2.5 });
    }
    keys.push(["link1", `mean of the last ${experiment.rewards[0].window}`], ["link2", "best so far"]);
    const chart = new Chart(figure, {
      ...words(figure), layers, labelX: "children",
      told: {
        count: done.length,
        at: (i) => [columns.number[done[i]] + 1, columns.reward[done[i]]],
        text: (i) => childInWords(experiment, done[i]),
        open: (i) => openChild(place, done[i]),
      },
    });
    chart.tools(keys);
    return chart;
  },

  tradeoff(figure, experiment, place) {
    const { columns } = experiment.children;
    const known = rowsWith(columns, "score").filter((i) => columns.cost[i] !== null);
    const on = new Set(experiment.front.map(String));
    const front = known.filter((i) => on.has(`${columns.search[i]},${columns.number[i]}`));
    front.sort((a, b) => columns.cost[a] - columns.cost[b]);
    const at = (i) => [columns.cost[i], columns.score[i]];
    const many = known.length > 3000;
    const seconds = experiment.objective === "latency";
    const chart = new Chart(figure, {
      ...words(figure), log: true, labelX: seconds ? "latency" : experiment.objective.replace("_", "-"),
      showX: seconds ? clock : count, showY: (value) => percents(value, experiment.metric),
      layers: [
        { kind: "points", xs: known.map((i) => at(i)[0]), ys: known.map((i) => at(i)[1]), colour: "link0", size: many ? 1.3 : 2.6, alpha: many ? 0.3 : 0.55 },
        { kind: "line", xs: front.map((i) => at(i)[0]), ys: front.map((i) => at(i)[1]), colour: "link1", step: true, width: 1.6 },
        { kind: "points", xs: front.map((i) => at(i)[0]), ys: front.map((i) => at(i)[1]), colour: "link1", size: 4, alpha: 1 },
      ],
      told: {
        count: known.length, at: (i) => at(known[i]),
        text: (i) => childInWords(experiment, known[i]), open: (i) => openChild(place, known[i]),
      },
    });
    chart.tools([["link0", "a child", "dot"], ["link1", "Pareto front: none scores better for less"]]);
    return chart;
  },

  statistics(figure, experiment) {
    const names = [...new Set(experiment.statistics.flatMap(Object.keys))];
    const first = names.includes("entropy") ? "entropy" : names[0];
    return chosen(figure, "statistic", names, first, (name, box) => {
      const curves = experiment.statistics.map((each) => each[name]).filter(Boolean);
      const places = curves.flatMap((curve, n) => curve.children.map((_, i) => [n, i]));
      return new Chart(box, {
        ...words(figure), labelX: "children",
        layers: curves.map((curve, n) => ({ kind: "line", xs: curve.children, ys: curve.values, colour: `link${n % 8}` })),
        told: {
          count: places.length,
          at: (i) => [curves[places[i][0]].children[places[i][1]], curves[places[i][0]].values[places[i][1]]],
          text: (i) => {
            const [n, at] = places[i];
            return `${name} ${short(curves[n].values[at])} after ${curves[n].children[at].toLocaleString("en")} children` + seedInWords(experiment, n);
          },
        },
      });
    }, () => (experiment.seeds.length > 1 ? experiment.seeds.map((seed, n) => [`link${n % 8}`, `seed ${seed}`]) : []));
  },

  shares(figure, experiment) {
    const names = experiment.shares.map((one) => one.decision);
    const last = 1 + experiment.children.columns.number.reduce((most, number) => Math.max(most, number), 0);
    return chosen(figure, "decision", names, names[0], (name, box) => {
      const { options, windows, first } = experiment.shares.find((one) => one.decision === name);
      const ends = first.map((_, i) => (i + 1 < first.length ? first[i + 1] : last));
      const order = options.map((_, i) => i);
      return new Chart(box, {
        ...words(figure), labelX: "children", showY: (value) => `${Math.round(100 * value)} %`,
        layers: [{ kind: "stack", xs: first, ends, parts: windows, colours: order.map((i) => `link${i % OWN}`) }],
        told: {
          count: windows.length, column: true, at: (i) => [(first[i] + ends[i]) / 2, 0.5],
          text: (i) => `children ${first[i]} to ${ends[i] - 1}\n` + order.slice().reverse().map((o) => `${options[o]}: ${(100 * windows[i][o]).toFixed(1)} %`).join("\n"),
        },
      });
    }, (name) => experiment.shares.find((one) => one.decision === name).options.map((option, i) => [`link${i % OWN}`, option, i < OWN ? "area" : "area pale"]));
  },

  timeline(figure, experiment, place) {
    const { columns, slots, statuses } = experiment.children;
    const several = experiment.seeds.length > 1;
    const ran = rowsWith(columns, "started").filter((i) => columns.finished[i] !== null && columns.slot[i] !== null);
    const names = [];
    const rowOf = (i) => {
      const name = slots[columns.slot[i]] + (several ? `, seed ${experiment.seeds[columns.search[i]]}` : "");
      if (!names.includes(name)) names.push(name);
      return name;
    };
    ran.forEach(rowOf);
    names.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
    const places = new Map(names.map((name, i) => [name, i]));
    const spans = ran.map((i) => [columns.started[i] / 10, columns.finished[i] / 10, places.get(rowOf(i))]);
    const looks = { ok: "link0", diverged: "link1", crashed: "fail", out_of_memory: "link3", timeout: "link7", lost: "soft" };
    const marks = several ? [] : experiment.rounds.flat().map((sampled) => sampled / 10);
    const chart = new Chart(figure, {
      ...words(figure), low: names.length < 5, rows: names, labelX: "since the search began", showX: clock,
      layers: [{ kind: "bars", spans, marks, colour: (i) => looks[statuses[columns.status[ran[i]]]] || "soft" }],
      told: {
        count: ran.length, at: (i) => [(spans[i][0] + spans[i][1]) / 2, spans[i][2]],
        text: (i) => childInWords(experiment, ran[i]) + `\n${slots[columns.slot[ran[i]]]}: ${clock(spans[i][1] - spans[i][0])}\n` + waitInWords(experiment, ran[i]),
        open: (i) => openChild(place, ran[i]),
      },
    });
    const there = new Set(ran.map((i) => statuses[columns.status[i]]));
    chart.tools([...there].map((status) => [looks[status] || "soft", status.replaceAll("_", " "), "area"]));
    return chart;
  },

  compared(figure, _, __, experiments) {
    const layers = [], keys = [], places = [];
    experiments.forEach((experiment, n) => {
      const name = `link${n % 8}`;
      for (const { mean, best } of experiment.rewards) {
        layers.push({ kind: "line", xs: best.children, ys: best.values, colour: name, step: true, dash: [6, 4], width: 1.5 });
        layers.push({ kind: "line", xs: mean.children, ys: mean.values, colour: name, width: 2.5 });
        mean.children.forEach((x, i) => places.push([x, mean.values[i], `${experiment.name}: mean ${short(mean.values[i])} after ${x} children`]));
      }
      keys.push([name, `${experiment.name}: mean`], [name, "best so far", "dashed"]);
    });
    const chart = new Chart(figure, {
      ...words(figure), layers, labelX: "children",
      told: { count: places.length, at: (i) => places[i], text: (i) => places[i][2] },
    });
    chart.tools(keys);
    return chart;
  },
};

/** A chart of one of several things, with a list to choose from. */
function chosen(figure, label, names, first, build, keys) {
  const box = make("div");
  const list = make("select");
  list.setAttribute("aria-label", label);
  for (const name of names) list.append(new Option(name, name, false, name === first));
  const show = () => {
    box.replaceChildren();
    const chart = build(list.value, box);
    chart.tools(keys(list.value), list);
  };
  list.addEventListener("change", () => { show(); list.focus(); });
  figure.append(box);
  show();
}

/** Title and caption of a figure, which are its alternative text too. */
function words(figure) {
  return { title: figure.querySelector("strong").textContent, about: figure.querySelector("span").textContent };
}

/** The places of the rows that have a value in this column. */
function rowsWith(columns, name) {
  return columns.number.map((_, i) => i).filter((i) => columns[name][i] !== null);
}

function percents(value, metric) {
  return metric.endsWith("accuracy") ? `${+(100 * value).toFixed(1)} %` : short(value);
}

function seedInWords(experiment, search) {
  return experiment.seeds.length > 1 ? `, seed ${experiment.seeds[search]}` : "";
}

function childInWords(experiment, i) {
  const { columns, statuses, architectures } = experiment.children;
  const text = architectures[columns.architecture[i]];
  const status = statuses[columns.status[i]];
  return [
    `child ${columns.number[i]}${seedInWords(experiment, columns.search[i])}: ${status.replaceAll("_", " ")}`,
    `reward ${short(columns.reward[i])}` + (columns.score[i] === null ? "" : `, ${measured(columns.score[i], experiment.metric)}`),
    text.length > 60 ? `${text.slice(0, 59)}…` : text,
  ].join("\n");
}

/** What a child waited for before it ran, as the times of the record tell. */
function waitInWords(experiment, i) {
  const { columns } = experiment.children;
  if (columns.same_as[i] !== null) return `took the result of child ${columns.same_as[i]}`;
  if (columns.started[i] === null) return "not begun";
  const waited = (columns.started[i] - columns.sampled[i]) / 10;
  const again = columns.attempts[i] > 1 ? `, begun ${columns.attempts[i]} times` : "";
  return (waited >= 0.5 ? `waited ${clock(waited)} for a slot` : "did not wait") + again;
}
