/** Colours that tell things apart; those of a ninth and of further things are pale. */
const OWN = 8;

/**
 * A chart on a canvas: zoom by dragging or with + and −, back with 0 or a double click; the nearest point
 * is told under the pointer, or walked along with the arrow keys, and Enter opens it.
 *
 * Layers, from back to front, each with a colour (the name of a variable of the page's style):
 *   {kind: "points", xs, ys, colour: name or (i) => name, size, alpha}
 *   {kind: "line", xs, ys, colour, width, dash, step}
 *   {kind: "band", xs, low, high, colour}
 *   {kind: "stack", xs, ends, parts: [[…] for each x], colours}
 *   {kind: "bars", spans: [[from, to, row], …], colour: (i) => name, marks: [x, …]}
 */
class Chart {
  constructor(place, options) {
    this.options = options;
    this.canvas = make("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${options.title}. ${options.about} Arrow keys walk along the points, plus and minus zoom, 0 shows all.`);
    this.hint = make("div", "", "hint");
    this.hint.hidden = true;
    this.plot = make("div", "", options.low ? "plot low" : "plot", this.canvas, this.hint);
    place.append(this.plot);
    this.whole = this.extent();
    this.view = { ...this.whole };
    this.at = -1;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** What all layers cover together, with a little room around it. */
  extent() {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    const sees = (x, y) => {
      if (x === null || y === null || !isFinite(x) || !isFinite(y)) return;
      x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
    };
    for (const layer of this.options.layers) {
      if (layer.kind === "bars") layer.spans.forEach(([a, b, row]) => { sees(this.x(a), row - 0.5); sees(this.x(b), row + 0.5); });
      else if (layer.kind === "stack") { sees(layer.xs[0], 0); sees(layer.ends[layer.ends.length - 1], 1); }
      else if (layer.kind === "band") layer.xs.forEach((x, i) => { sees(this.x(x), layer.low[i]); sees(this.x(x), layer.high[i]); });
      else layer.xs.forEach((x, i) => sees(this.x(x), layer.ys[i]));
    }
    if (!isFinite(x0)) [x0, x1, y0, y1] = [0, 1, 0, 1];
    const exact = this.options.layers.some((layer) => layer.kind === "stack" || layer.kind === "bars");
    const around = (a, b, part) => (b > a ? (b - a) * part : Math.abs(a) * 0.1 || 1);
    const dx = exact ? 0 : around(x0, x1, 0.02), dy = exact ? 0 : around(y0, y1, 0.06);
    if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
    return { x0: x0 - dx, x1: x1 + dx, y0: y0 - dy, y1: y1 + dy };
  }

  /** The place of a value on the axis of x, which may be a logarithmic one. */
  x(value) { return this.options.log ? (value > 0 ? Math.log10(value) : null) : value; }

  px(x) { return this.box.left + ((x - this.view.x0) / (this.view.x1 - this.view.x0)) * this.box.width; }
  py(y) { return this.box.top + (1 - (y - this.view.y0) / (this.view.y1 - this.view.y0)) * this.box.height; }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = (this.pen = this.canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    const rows = this.options.rows;
    const left = rows ? Math.max(...rows.map((row) => pen.measureText(row).width)) + 14 : 52;
    this.box = { left, top: 10, width: width - left - 12, height: height - 46 };
    this.axes();
    pen.save();
    pen.beginPath();
    pen.rect(this.box.left, this.box.top - 2, this.box.width, this.box.height + 4);
    pen.clip();
    for (const layer of this.options.layers) this[layer.kind](layer);
    pen.restore();
    if (this.at >= 0) this.mark();
    if (this.drag && this.drag.moved) {
      pen.strokeStyle = colour("accent");
      pen.setLineDash([4, 3]);
      pen.strokeRect(this.drag.x, this.drag.y, this.drag.toX - this.drag.x, this.drag.toY - this.drag.y);
      pen.setLineDash([]);
    }
  }

  axes() {
    const { pen, box, view, options } = this;
    pen.strokeStyle = colour("edge");
    pen.fillStyle = colour("soft");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    if (options.rows) options.rows.forEach((row, i) => {
      const y = this.py(i);
      if (y > box.top && y < box.top + box.height) pen.fillText(row, box.left - 8, y);
    });
    else for (const tick of ticks(view.y0, view.y1, Math.max(3, box.height / 42))) {
      const y = this.py(tick);
      pen.globalAlpha = 0.5;
      pen.beginPath(); pen.moveTo(box.left, y); pen.lineTo(box.left + box.width, y); pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText((options.showY || short)(tick), box.left - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const many = Math.max(2, box.width / 90);
    const marks = options.log ? powers(view.x0, view.x1, many) : ticks(view.x0, view.x1, many);
    for (const mark of marks) {
      const x = this.px(mark);
      pen.globalAlpha = 0.5;
      pen.beginPath(); pen.moveTo(x, box.top); pen.lineTo(x, box.top + box.height); pen.stroke();
      pen.globalAlpha = 1;
      const value = options.log ? 10 ** mark : mark;
      pen.fillText((options.showX || short)(value), x, box.top + box.height + 6);
    }
    pen.textAlign = "right";
    pen.fillText(options.labelX, box.left + box.width, box.top + box.height + 22);
  }

  points({ xs, ys, colour: of, size = 2.2, alpha = 0.5 }) {
    const { pen } = this;
    pen.globalAlpha = alpha;
    const groups = new Map();
    for (let i = 0; i < xs.length; i++) {
      if (ys[i] === null || xs[i] === null) continue;
      const name = typeof of === "function" ? of(i) : of;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(i);
    }
    for (const [name, places] of groups) {
      pen.fillStyle = colour(name);
      pen.beginPath();
      for (const i of places) {
        const x = this.px(this.x(xs[i])), y = this.py(ys[i]);
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 7);
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  line({ xs, ys, colour: name, width = 2, dash = [], step = false }) {
    const { pen } = this;
    pen.strokeStyle = colour(name);
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.setLineDash(dash);
    pen.beginPath();
    let before = null;
    xs.forEach((value, i) => {
      if (ys[i] === null) return;
      const x = this.px(this.x(value)), y = this.py(ys[i]);
      if (before === null) pen.moveTo(x, y);
      else { if (step) pen.lineTo(x, before); pen.lineTo(x, y); }
      before = y;
    });
    pen.stroke();
    pen.setLineDash([]);
    if (xs.length === 1) this.points({ xs, ys, colour: name, size: 4, alpha: 1 });
  }

  band({ xs, low, high, colour: name }) {
    const { pen } = this;
    pen.fillStyle = colour(name);
    pen.globalAlpha = 0.22;
    pen.beginPath();
    xs.forEach((x, i) => pen.lineTo(this.px(this.x(x)), this.py(high[i])));
    for (let i = xs.length - 1; i >= 0; i--) pen.lineTo(this.px(this.x(xs[i])), this.py(low[i]));
    pen.fill();
    pen.globalAlpha = 1;
  }

  stack({ xs, ends, parts, colours }) {
    const { pen } = this;
    xs.forEach((x, i) => {
      let below = 0;
      parts[i].forEach((part, option) => {
        pen.fillStyle = colour(colours[option]);
        pen.globalAlpha = option < OWN ? 0.82 : 0.37;
        const from = this.px(x), to = this.px(ends[i]);
        pen.fillRect(from, this.py(below + part), Math.max(1, to - from - (to - from > 6 ? 1 : 0)), this.py(below) - this.py(below + part));
        below += part;
      });
    });
    pen.globalAlpha = 1;
  }

  bars({ spans, colour: of, marks }) {
    const { pen, box } = this;
    pen.fillStyle = colour("soft");
    pen.globalAlpha = 0.35;
    const shown = marks.filter((mark) => mark >= this.view.x0 && mark <= this.view.x1);
    if (shown.length < box.width / 6) for (const mark of shown) pen.fillRect(this.px(mark), box.top, 1, box.height);
    pen.globalAlpha = 0.85;
    spans.forEach(([from, to, row], i) => {
      if (to < this.view.x0 || from > this.view.x1) return;
      pen.fillStyle = colour(of(i));
      const x = this.px(from), wide = this.px(to) - x;
      const top = this.py(row + 0.36), high = this.py(row - 0.36) - top;
      pen.fillRect(x, top, Math.max(0.8, wide - (wide > 4 ? 1 : 0)), high);
    });
    pen.globalAlpha = 1;
  }

  /** Where the point `i` of what can be told stands, in pixels. */
  spot(i) {
    const [x, y] = this.options.told.at(i);
    return x === null || y === null ? null : [this.px(this.x(x)), this.py(y)];
  }

  mark() {
    const spot = this.spot(this.at);
    if (!spot) return;
    const { pen } = this;
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 2;
    pen.beginPath(); pen.arc(spot[0], spot[1], 6, 0, 7); pen.stroke();
  }

  nearest(x, y) {
    let best = -1, least = this.options.told.column ? Infinity : 900;
    const { told } = this.options;
    for (let i = 0; i < told.count; i++) {
      const spot = this.spot(i);
      if (!spot) continue;
      const across = told.column ? 0 : spot[1] - y;
      const far = (spot[0] - x) ** 2 + across ** 2;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  tell(i, aloud = false) {
    this.at = i;
    this.draw();
    const spot = i >= 0 && this.spot(i);
    this.hint.hidden = !spot;
    if (!spot) return;
    this.hint.textContent = this.options.told.text(i);
    const wide = this.hint.offsetWidth, high = this.hint.offsetHeight;
    const left = Math.min(Math.max(0, spot[0] + 12), this.canvas.clientWidth - wide);
    this.hint.style.left = `${Math.max(0, left)}px`;
    this.hint.style.top = `${spot[1] > high + 16 ? spot[1] - high - 10 : spot[1] + 12}px`;
    if (aloud) document.getElementById("told").textContent = this.hint.textContent;
  }

  zoom(x0, x1, y0, y1) {
    if (!(x1 - x0 > 1e-9) || !(y1 - y0 > 1e-9)) return;
    this.view = { x0, x1, y0, y1 };
    this.tell(-1);
    if (this.back) this.back.hidden = false;
  }

  all() {
    this.view = { ...this.whole };
    this.tell(-1);
    if (this.back) this.back.hidden = true;
  }

  listen() {
    const { canvas } = this;
    const place = (event) => {
      const edge = canvas.getBoundingClientRect();
      return [event.clientX - edge.left, event.clientY - edge.top];
    };
    const value = (x, y) => [
      this.view.x0 + ((x - this.box.left) / this.box.width) * (this.view.x1 - this.view.x0),
      this.view.y1 - ((y - this.box.top) / this.box.height) * (this.view.y1 - this.view.y0),
    ];
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = place(event);
      this.drag = { x, y, toX: x, toY: y, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      if (!this.drag) return this.tell(this.nearest(x, y));
      Object.assign(this.drag, { toX: x, toY: y, moved: this.drag.moved || Math.hypot(x - this.drag.x, y - this.drag.y) > 6 });
      this.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      if (!drag.moved) {
        const i = this.nearest(...place(event));
        this.tell(i);
        if (i >= 0 && this.options.told.open) this.options.told.open(i);
        return;
      }
      const [x0, y1] = value(Math.min(drag.x, drag.toX), Math.min(drag.y, drag.toY));
      const [x1, y0] = value(Math.max(drag.x, drag.toX), Math.max(drag.y, drag.toY));
      const flat = Math.abs(drag.toY - drag.y) < 12 || this.options.rows;  // along x only
      this.zoom(x0, x1, flat ? this.view.y0 : y0, flat ? this.view.y1 : y1);
    });
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    canvas.addEventListener("pointerleave", () => { if (!this.drag) this.tell(-1); });
    canvas.addEventListener("dblclick", () => this.all());
    canvas.addEventListener("blur", () => this.tell(-1));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("theme", () => this.draw());
  }

  key(event) {
    const { told } = this.options;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10 };
    if (event.key in moves) {
      let next = this.at < 0 ? 0 : this.at + moves[event.key];
      next = Math.min(told.count - 1, Math.max(0, next));
      while (next > 0 && next < told.count - 1 && !this.spot(next)) next += Math.sign(moves[event.key]);
      this.tell(next, true);
    } else if (event.key === "Enter" && this.at >= 0 && told.open) told.open(this.at);
    else if (event.key === "0" || event.key === "Escape") this.all();
    else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const part = event.key === "-" ? 1 : 0.25;
      const middle = this.at >= 0 ? this.x(told.at(this.at)[0]) : (this.view.x0 + this.view.x1) / 2;
      const half = (this.view.x1 - this.view.x0) * part;
      this.zoom(Math.max(this.whole.x0, middle - half), Math.min(this.whole.x1, middle + half), this.view.y0, this.view.y1);
    } else return;
    event.preventDefault();
  }

  /** The row below a chart: what the colours mean, and the way back from a zoom. */
  tools(keys, ...more) {
    const row = make("div", "", "tools", ...more);
    for (const [name, text, look = ""] of keys) {
      const sign = make("i", "", look);
      sign.style[look.startsWith("area") || look === "dot" ? "background" : "borderColor"] = `var(--${name})`;
      row.append(make("span", "", "key", sign, text));
    }
    this.back = make("button", "Show all", "push");
    this.back.type = "button";
    this.back.hidden = true;
    this.back.addEventListener("click", () => this.all());
    row.append(this.back);
    this.plot.after(row);
  }
}

/** Round numbers between two values, about so many. */
function ticks(from, to, many) {
  const rough = (to - from) / many, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * size).find((s) => s >= rough);
  const found = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n++) found.push(+(n * step).toPrecision(12));
  return found;
}

/** Places of round numbers on a logarithmic axis. */
function powers(from, to, many) {
  const found = [];
  for (const factors of [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    found.length = 0;
    for (let power = Math.floor(from); power <= to; power++) {
      for (const factor of factors) {
        const place = power + Math.log10(factor);
        if (place >= from && place <= to) found.push(place);
      }
    }
    if (found.length >= Math.min(3, many)) break;
  }
  return found.filter((_, i) => i % Math.ceil(found.length / many) === 0);
}
