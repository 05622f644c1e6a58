"use strict";
// Draws the report. Data come as 16 bit series; what is drawn is the smallest and largest value of as
// many buckets as the picture has pixels, taken anew from the finest data whenever the view changes.
(function () {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  window.addEventListener("error", (e) => { root.dataset.error = e.message; });
  window.addEventListener("unhandledrejection", (e) => { root.dataset.error = String(e.reason); });
  const GAP = -32768, BUCKETS = 1100, MAX_MARKS = 4000;
  const esc = (s) => String(s).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const el = (id) => document.getElementById(id);

  function bytes(b64) {
    const raw = atob(b64), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out.buffer;
  }

  // --- data ---------------------------------------------------------------------------------------
  const runs = page.runs.map((run) => {
    const uneven = run.grid.t_s ? new Float64Array(bytes(run.grid.t_s)) : null;
    return { ...run, time: (j) => uneven ? uneven[Math.min(j, uneven.length - 1)] : run.grid.t0_s + j * run.grid.width_s };
  });
  for (const s of page.series) {
    const q = new Int16Array(bytes(s.q));
    const v = new Float32Array(q.length);
    for (let i = 0; i < q.length; i++) v[i] = q[i] === GAP ? NaN : s.lo + s.step * (q[i] + 32767);
    s.v = v;
    s.per = runs[s.run].grid.rows > 1 && s.mode === "both" ? 2 : 1;
    delete s.q;
  }
  const first = Math.min(...runs.map((r) => r.grid.t0_s));
  const last = Math.max(...runs.map((r) => r.end_s), first + 1e-6);

  // First bucket of a run at or after t.
  function place(run, t) {
    const n = run.grid.n;
    let a = 0, b = n;
    if (!run.grid.t_s) return Math.max(0, Math.min(n, Math.ceil((t - run.grid.t0_s) / run.grid.width_s)));
    while (a < b) { const m = (a + b) >> 1; if (run.time(m) < t) a = m + 1; else b = m; }
    return a;
  }

  // Time of value number k of a series.
  function timeOf(s, run, k) {
    if (run.grid.rows === 1) return run.time(k);
    const j = Math.floor(k / s.per);
    return run.time(j) + run.grid.width_s * (s.per === 2 ? (k % 2 ? 0.75 : 0.25) : 0.5);
  }

  // Points to draw of a series between two times.
  function view(s, t0, t1) {
    const run = runs[s.run];
    const from = Math.max(0, place(run, t0) - 1) * s.per;
    const to = Math.min(run.grid.n, place(run, t1) + 1) * s.per;
    const n = to - from, x = [], y = [];
    if (n <= 2 * BUCKETS) {
      for (let k = from; k < to; k++) { x.push(timeOf(s, run, k)); y.push(s.v[k]); }
      return { x, y, every: run.grid.rows };
    }
    const size = Math.ceil(n / BUCKETS / s.per) * s.per;
    for (let k = from; k < to; k += size) {
      const end = Math.min(k + size, to);
      let low = Infinity, high = -Infinity, lowAt = -1, highAt = -1;
      for (let i = k; i < end; i++) {
        const value = s.v[i];
        if (value < low) { low = value; lowAt = i; }
        if (value > high) { high = value; highAt = i; }
      }
      const middle = timeOf(s, run, (k + end - 1) >> 1);
      if (lowAt < 0) { x.push(middle); y.push(NaN); continue; }
      if (s.mode === "low") { x.push(middle); y.push(low); continue; }
      if (s.mode === "high") { x.push(middle); y.push(high); continue; }
      const ends = lowAt < highAt ? [[lowAt, low], [highAt, high]] : [[highAt, high], [lowAt, low]];
      for (const [i, value] of ends) { x.push(timeOf(s, run, i)); y.push(value); }
    }
    return { x, y, every: run.grid.rows * size / s.per };
  }

  // The band between the lowest and the highest of all buses, one polygon per stretch without a gap.
  function bandView(low, high, t0, t1) {
    const a = view(low, t0, t1), b = view(high, t0, t1), x = [], y = [];
    const good = (i) => !Number.isNaN(a.y[i]) && !Number.isNaN(b.y[i]);
    for (let i = 0; i < a.x.length; i++) {
      if (!good(i)) continue;
      let j = i;
      while (j + 1 < a.x.length && good(j + 1)) j++;
      if (x.length) { x.push(null); y.push(null); }
      for (let k = i; k <= j; k++) { x.push(a.x[k]); y.push(a.y[k]); }
      for (let k = j; k >= i; k--) { x.push(b.x[k]); y.push(b.y[k]); }
      x.push(a.x[i]); y.push(a.y[i]);
      i = j;
    }
    return { x, y, every: a.every };
  }

  // --- time axis ----------------------------------------------------------------------------------
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
  function clock(t, step) {
    if (last <= 900) return (step < 1 ? t.toFixed(Math.min(6, Math.ceil(-Math.log10(step)))) : String(Math.round(t))) + " s";
    const sign = t < 0 ? "-" : "", a = Math.abs(t) + 1e-9;
    const h = Math.floor(a / 3600), m = Math.floor(a / 60) % 60, sec = a % 60;
    const digits = step < 1 ? Math.min(6, Math.ceil(-Math.log10(step))) : 0;
    const two = (k) => String(k).padStart(2, "0");
    return `${sign}${h}:${two(m)}:${digits ? sec.toFixed(digits).padStart(3 + digits, "0") : two(Math.floor(sec))}`;
  }
  function ticks(t0, t1) {
    const want = (t1 - t0) / 11;
    let step = STEPS.find((s) => s >= want);
    if (want < 1) { const p = Math.pow(10, Math.floor(Math.log10(want))); step = [1, 2, 5, 10].map((k) => k * p).find((s) => s >= want); }
    step = step || 604800;
    const tickvals = [];
    for (let k = Math.ceil(t0 / step); k * step <= t1 + 1e-9; k++) tickvals.push(k * step);
    return { tickvals, ticktext: tickvals.map((t) => clock(t, step)) };
  }

  // --- curves -------------------------------------------------------------------------------------
  const many = runs.length > 1;
  const LOOK = {
    low: { color: "#9fb3c8", width: 0.6 }, high: { color: "#9fb3c8", width: 0.6 },
    worst: { color: "#b3261e", width: 1.4 }, site: { color: "#1f5fa8", width: 1.4 },
    ai: { color: "#8a97a5", width: 1 }, need: { color: "#e08a1e", width: 1.1 }, grid: { color: "#1f5fa8", width: 1.6 },
    ups: { color: "#23835a", width: 1.2 }, soc: { color: "#6b4fa1", width: 1.6 },
    frequency: { color: "#6b4fa1", width: 1.4 },
    waiting: { color: "#b3261e", width: 1.4 }, running: { color: "#1f5fa8", width: 1.2 }, ttft: { color: "#6b4fa1", width: 1.2 },
    held: { color: "#1f5fa8", width: 1 }, tap: { color: "#1f5fa8", width: 1.4 }, step: { color: "#5c6b00", width: 1.4 },
    source: { color: "#1b2733", width: 1.4 }, line: { color: "#a8740a", width: 1.2 },
  };
  const DASH = { site: "dot", need: "dot", ai: "dash", soc: "dash", line: "dot" };
  const HIDDEN = new Set(["low", "high", "ai", "need", "line"]);
  const panels = page.panels;
  const axisOf = {};
  panels.forEach((p, i) => { axisOf[p.key] = `y${i + 2}`; });
  const hasSoc = page.series.some((s) => s.role === "soc");
  const socAxis = `y${panels.length + 2}`;
  const legendOf = (key) => `legend${panels.findIndex((p) => p.key === key) + 2}`;

  // A second campus of the same run has a colour of its own, and dashes for its roles.
  const OTHER = ["#1f5fa8", "#7a3b8f", "#00798c", "#8d5524", "#5c6b00", "#c2185b"];
  const counts = {}, sites = page.series.filter((s) => s.role === "grid").length;
  // Regulators and capacitor banks: steps that a move marks where it happens.
  const DEVICE = ["#1f5fa8", "#d9731a", "#23835a", "#a23b72", "#6b4fa1", "#7a6a00", "#00798c", "#b3261e"];
  const stepped = (s) => s.panel === "devices";
  function lookOf(s) {
    const key = `${s.run}/${s.role}`, k = (counts[key] = (counts[key] || 0) + 1) - 1;
    const look = LOOK[s.role] || LOOK.grid;
    const dash = DASH[s.role] || "solid";
    if ((stepped(s) || s.role === "held") && !many) {
      const place = page.series.filter((o) => o.run === s.run && o.panel === s.panel).indexOf(s);
      return { color: DEVICE[place % DEVICE.length], width: look.width, dash: place < DEVICE.length ? "solid" : "dot" };
    }
    if (many) return { color: runs[s.run].color, width: look.width, dash };
    if (s.panel === "regulated") return { color: "#1b2733", width: look.width, dash };
    return k === 0 ? { ...look, dash: s.role === "soc" ? dash : "solid" } : { color: OTHER[k % OTHER.length], width: look.width, dash };
  }
  const lookColor = new Map();
  function trace(s) {
    const look = lookOf(s), soc = s.role === "soc";
    lookColor.set(s, look.color);
    const t = {
      type: "scatter", mode: "lines", name: esc(many ? `${runs[s.run].label}: ${s.label}` : s.label),
      yaxis: soc ? socAxis : axisOf[s.panel], legend: legendOf(s.panel), connectgaps: false,
      line: stepped(s) ? { ...look, shape: "hv" } : look,
      hovertemplate: `%{y:.5~g}${soc ? "" : " " + s.unit}`,
    };
    if ((many && HIDDEN.has(s.role)) || (sites > 1 && s.role === "ai")) t.visible = "legendonly";
    if (s.role === "low") {
      t.name = esc(many ? `${runs[s.run].label}: range of all buses` : "range of all buses");
      t.fill = "toself"; t.fillcolor = "rgba(159,179,200,0.28)"; t.hoverinfo = "skip"; t.hovertemplate = undefined;
    }
    return t;
  }

  // --- events -------------------------------------------------------------------------------------
  const kinds = page.kinds;
  const valueText = (e) => (e[4] === null ? "" : `${Number(e[4].toPrecision(5))} ${page.event_units[e[2]]}`.trim());
  const eventsBetween = (t0, t1) => page.events.filter((e) => e[1] >= t0 && e[1] <= t1);
  const eventText = (e) => `${esc(e[3])} ${valueText(e)}${e[5] ? " " + esc(e[5]) : ""}`;
  function eventMarks(t0, t1) {
    const width = (t1 - t0) / BUCKETS, seen = new Set();
    return runs.map((run, r) => {
      const x = [], y = [], text = [];
      for (const e of eventsBetween(t0, t1)) {
        if (e[0] !== r || x.length >= MAX_MARKS) continue;
        const cell = `${r}/${e[2]}/${Math.floor((e[1] - t0) / width)}`;
        if (seen.has(cell)) continue;
        seen.add(cell);
        x.push(e[1]); y.push(kinds[e[2]].replace(/_/g, " ")); text.push(eventText(e));
      }
      return { x, y, text };
    });
  }
  // Moves of devices, as marks on their own step lines: the tap or the steps that each move led to.
  const MOVES = new Set(["tap_changed", "capacitor_switched"]);
  function moveMarks(t0, t1) {
    return runs.map((run, r) => {
      const drawn = new Map(page.series.filter((s) => s.run === r && stepped(s)).map((s) => [s.label, lookColor.get(s)]));
      const moves = eventsBetween(t0, t1).filter((e) => e[0] === r && MOVES.has(kinds[e[2]]) && drawn.has(e[3])).slice(0, MAX_MARKS);
      return { x: moves.map((e) => e[1]), y: moves.map((e) => e[4]), text: moves.map((e) => eventText(e)), color: moves.map((e) => drawn.get(e[3])) };
    });
  }
  const rare = new Set(page.rare);
  function shapes() {
    const out = [];
    const bands = (key, fill, edge) => new Map(runs.flatMap((run) => run[key]).map((span) => [span.map((t) => t.toFixed(3)).join(), span])).forEach(([a, b]) => out.push({
      type: "rect", xref: "x", yref: "paper", x0: a, x1: b, y0: 0, y1: 1, layer: "below", line: edge ? { width: 1, color: edge } : { width: 0 }, fillcolor: fill }));
    bands("away", "rgba(91,107,122,0.09)", null);
    bands("disturbed", "rgba(179,38,30,0.14)", "rgba(179,38,30,0.45)");  // its edge shows what is thinner than a pixel
    page.events.filter((e) => rare.has(e[2])).slice(0, 120).forEach((e) => out.push({
      type: "line", xref: "x", yref: "paper", x0: e[1], x1: e[1], y0: 0, y1: 1, layer: "below",
      line: { width: 1, dash: "dot", color: many ? runs[e[0]].color : "#8a97a5" } }));
    if (axisOf.voltage) for (const y of [page.range_a[0], page.range_a[1]]) out.push({
      type: "line", xref: "paper", yref: axisOf.voltage, x0: 0, x1: 1, y0: y, y1: y, line: { width: 1, dash: "dash", color: "#b3261e" } });
    return out;
  }

  // --- the figure of panels that share the time axis ----------------------------------------------
  const plot = el("panels");
  // What is drawn: a curve each, the lowest and highest of all buses together.
  const drawnSeries = page.series.filter((s) => s.role !== "high");
  const order = drawnSeries.map((s, i) => i);
  const partner = (s) => page.series.find((o) => o.run === s.run && o.role === "high");
  let drawn = [first, last];

  function layout() {
    const strip = kinds.length ? 24 + 15 * kinds.length : 0, each = 215;
    // Legends break into rows on a narrow screen: room for as many as they take.
    const wide = (s) => 48 + 6.2 * (s.label.length + (many ? runs[s.run].label.length + 2 : 0));
    const gaps = panels.map((p) => {
      const mine = drawnSeries.filter((s) => s.panel === p.key);
      const fit = Math.max(1, Math.floor((plot.clientWidth - 140) / Math.max(48, ...mine.map(wide))));
      return mine.reduce((sum, s) => sum + wide(s), 0) <= plot.clientWidth - 140 ? 34 : 16 + 19 * Math.ceil(mine.length / fit);
    });
    const height = strip + gaps.reduce((sum, gap) => sum + gap + each, 0) + 60, usable = height - 60;
    const lay = {
      height, margin: { l: 78, r: 62, t: 10, b: 50 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", hovermode: "x", shapes: shapes(),
      font: { family: "system-ui, sans-serif", size: 12, color: "#1b2733" }, annotations: [],
      xaxis: { range: drawn, anchor: `y${panels.length + 1}`, title: { text: last <= 900 ? "time [s]" : "time [h:mm:ss]" }, gridcolor: "#e6eaee",
        zeroline: false, showspikes: true, spikemode: "across", spikesnap: "cursor", spikethickness: 1, spikecolor: "#5b6b7a", spikedash: "solid",
        hoverformat: ".6~g", ...ticks(...drawn) },
    };
    let top = 1;
    if (kinds.length) {
      lay.yaxis = { domain: [1 - strip / usable, 1], type: "category", categoryorder: "array", fixedrange: true, gridcolor: "#eef1f4",
        categoryarray: kinds.map((k) => k.replace(/_/g, " ")).reverse(), tickfont: { size: 10 }, automargin: true, anchor: "x", range: [-0.7, kinds.length - 0.3] };
      top = 1 - strip / usable;
    } else lay.yaxis = { visible: false, domain: [0.999, 1] };
    const ends = page.series.filter(stepped).flatMap((s) => [s.lo, s.lo + 65534 * s.step]);
    const tapStep = Math.max(1, Math.ceil((Math.max(...ends) - Math.min(...ends)) / 6)); // whole taps only
    panels.forEach((p, i) => {
      const high = top - (gaps.slice(0, i + 1).reduce((sum, gap) => sum + gap, 0) + i * each) / usable, low = high - each / usable;
      lay[`yaxis${i + 2}`] = { domain: [Math.max(0, low), high], title: { text: p.title, font: { size: 12 } }, gridcolor: "#e6eaee", zerolinecolor: "#c9d1d9",
        anchor: "x", automargin: true, nticks: 7, ...(p.key === "devices" ? { tickformat: "d", dtick: tapStep } : {}) };
      lay[`legend${i + 2}`] = { orientation: "h", x: 0, y: high + 2 / usable, yanchor: "bottom", font: { size: 11 }, bgcolor: "rgba(0,0,0,0)" };
      if (p.key === "ups" && hasSoc) lay[`yaxis${panels.length + 2}`] = { overlaying: `y${i + 2}`, side: "right", anchor: "x", range: [0, 1], tickformat: ".0%", tickmode: "linear", tick0: 0, dtick: 0.25, zeroline: false,
        showgrid: false, fixedrange: true, title: { text: "state of charge", font: { size: 12 } } };
    });
    Object.assign(lay, voltageRange(drawn, true));
    return lay;
  }
  // The whole run shows the limit of range A; a closer view shows the curves.
  function voltageRange([t0, t1], whole) {
    const i = panels.findIndex((p) => p.key === "voltage");
    if (i < 0) return {};
    let low = Infinity, high = -Infinity;
    for (const s of page.series) if (s.panel === "voltage") for (const v of view(s, t0, t1).y) { if (v < low) low = v; if (v > high) high = v; }
    if (!(high >= low)) return {};
    if (whole) { low = Math.min(low, page.range_a[0] - 0.004); high = Math.max(high, 1.0); }
    const pad = Math.max(0.04 * (high - low), 1e-5);
    return { [`yaxis${i + 2}.range`]: [low - pad, high + pad] };
  }

  function everyText(rows) {
    const step = runs[0].step_s, finest = Math.max(...runs.map((r) => r.grid.rows));
    const span = (k) => { const s = k * step; return s >= 1 ? `${Number(s.toPrecision(4))} s` : `${Number((1000 * s).toPrecision(4))} ms`; };
    const now = rows <= 1 ? `Every row of the log (${span(1)}).` : `Each point pair is the smallest and largest value within ${span(rows)}.`;
    const more = rows > finest ? ` Zoom in for more, down to ${span(finest)}.` : rows > 1 ? ` This page holds no finer data; the log has ${span(1)}.` : "";
    return now + more;
  }

  async function draw(t0, t1) {
    drawn = [t0, t1];
    const views = drawnSeries.map((s) => (s.role === "low" && partner(s) ? bandView(s, partner(s), t0, t1) : view(s, t0, t1)));
    const moves = axisOf.devices ? moveMarks(t0, t1) : [];
    const marks = [...eventMarks(t0, t1), ...moves], n = order.length;
    const coarsest = Math.max(1, ...views.map((v) => v.every));
    const whole = t0 <= first && t1 >= last;
    const grid = ticks(t0, t1), range = voltageRange([t0, t1], whole);
    const lay = { "xaxis.range": [t0, t1], "xaxis.tickvals": grid.tickvals, "xaxis.ticktext": grid.ticktext, ...range };
    panels.forEach((p, i) => { if (p.key !== "voltage") lay[`yaxis${i + 2}.autorange`] = true; });
    await Plotly.update(plot, { x: [...views.map((v) => v.x), ...marks.map((m) => m.x)], y: [...views.map((v) => v.y), ...marks.map((m) => m.y)],
      text: [...views.map(() => null), ...marks.map((m) => m.text)] }, lay, [...order, ...marks.map((_, i) => n + i)]);
    if (moves.length) await Plotly.restyle(plot, { "marker.color": moves.map((m) => m.color) }, moves.map((_, i) => n + runs.length + i));
    el("every").textContent = everyText(coarsest);
    root.dataset.shownRows = String(coarsest);
    root.dataset.points = String(views.reduce((sum, v) => sum + v.x.length, 0));
    root.dataset.from = String(t0); root.dataset.to = String(t1);
  }

  function fromHash() {
    const m = /t=(-?[\d.e+-]+),(-?[\d.e+-]+)/.exec(location.hash);
    const t0 = m ? Number(m[1]) : NaN, t1 = m ? Number(m[2]) : NaN;
    return t1 > t0 ? [Math.max(first, t0), Math.min(last, t1)] : page.opens ? page.focus : [first, last];
  }
  function go(t0, t1) {
    const hash = t0 <= first && t1 >= last ? "#" : `#t=${Number(t0.toPrecision(9))},${Number(t1.toPrecision(9))}`;
    try { history.replaceState(null, "", hash); } catch (e) { /* a sandboxed frame: the view still changes */ }
    return draw(t0, t1);
  }

  async function drawPanels() {
    if (!panels.length) { plot.textContent = "This log has no rows to draw."; return; }
    const traces = drawnSeries.map(trace);
    eventMarks(first, last).forEach((_, r) => traces.push({ type: "scatter", mode: "markers", yaxis: "y", showlegend: false, x: [], y: [],
      hovertemplate: "%{y}<br>%{text}<extra>t = %{x} s</extra>", marker: { symbol: "diamond", size: 7, color: many ? runs[r].color : "#1b2733" } }));
    if (axisOf.devices) runs.forEach(() => traces.push({ type: "scatter", mode: "markers", yaxis: axisOf.devices, showlegend: false, x: [], y: [],
      hovertemplate: "%{text}<extra>t = %{x} s</extra>", marker: { symbol: "circle", size: 6, line: { width: 1, color: "#fff" } } }));
    await Plotly.newPlot(plot, traces, layout(), { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] });
    await draw(...fromHash());
    plot.on("plotly_relayout", (change) => {
      if (change["xaxis.autorange"] || change["xaxis.range"]) { const r = change["xaxis.range"]; return go(...(r && !change["xaxis.autorange"] ? r : [first, last])); }
      if ("xaxis.range[0]" in change) return go(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    });
    plot.on("plotly_doubleclick", () => { go(first, last); return false; });
    window.addEventListener("hashchange", () => draw(...fromHash()));
    el("whole").onclick = () => go(first, last);
    if (el("focus")) el("focus").onclick = () => go(...page.focus);
    el("in").onclick = () => { const m = (drawn[0] + drawn[1]) / 2, w = (drawn[1] - drawn[0]) / 8; go(m - w, m + w); };
    el("out").onclick = () => { const m = (drawn[0] + drawn[1]) / 2, w = (drawn[1] - drawn[0]) * 2; go(Math.max(first, m - w), Math.min(last, m + w)); };
    el("left").onclick = () => { const w = drawn[1] - drawn[0], a = Math.max(first, drawn[0] - w / 2); go(a, a + w); };
    el("right").onclick = () => { const w = drawn[1] - drawn[0], b = Math.min(last, drawn[1] + w / 2); go(b - w, b); };
  }

  // --- small figures ------------------------------------------------------------------------------
  const small = { margin: { l: 64, r: 16, t: 30, b: 48 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff", font: { family: "system-ui, sans-serif", size: 12, color: "#1b2733" } };
  const quiet = { responsive: true, displaylogo: false, displayModeBar: false };
  function drawDistributions() {
    if (!page.distributions.length) return;
    const traces = [], axes = ["", "2", "3", "4"];
    page.distributions.forEach((d, i) => [d.power_pdf, d.power_cdf, d.ramp_pdf, d.ramp_cdf].forEach((c, k) => traces.push({
      type: "scatter", mode: "lines", name: esc(d.label), legendgroup: `d${i}`, showlegend: k === 0, x: c.x, y: c.y, xaxis: `x${axes[k]}`, yaxis: `y${axes[k]}`,
      line: { color: d.color, dash: d.dash, width: 1.6, shape: k % 2 ? "linear" : "hvh" } })));
    const titles = ["power, density [1/MW]", "power, cumulative", `rate over ${page.ramp_window}, density [s/MW]`, `|rate| over ${page.ramp_window}, cumulative`];
    const lay = { ...small, height: 640, grid: { rows: 2, columns: 2, pattern: "independent", xgap: 0.12, ygap: 0.22 }, legend: { orientation: "h", y: 1.09 } };
    ["power [MW]", "power [MW]", "ramp > 0, decline < 0 [MW/s]", "ramp or decline [MW/s]"].forEach((text, k) => {
      lay[`xaxis${axes[k]}`] = { title: { text }, gridcolor: "#e6eaee", zeroline: false, type: k === 3 ? "log" : "linear" };
      lay[`yaxis${axes[k]}`] = { title: { text: titles[k] }, gridcolor: "#e6eaee", zeroline: false, type: k === 2 ? "log" : "linear", exponentformat: "power" };
      if (k === 2) lay[`yaxis${axes[k]}`].dtick = 1;
      if (k === 3) lay[`xaxis${axes[k]}`].dtick = 1;
      if (k % 2) lay[`yaxis${axes[k]}`].range = [-0.02, 1.02];
    });
    return Plotly.newPlot(el("distributions"), traces, lay, quiet);
  }
  function drawProfile() {
    if (!page.profiles.length) return;
    const traces = [];
    page.profiles.forEach((p) => {
      const color = many ? p.color : "#1f5fa8";
      const names = p.name.map(esc);
      const span = p.low.map((v, i) => (v === null ? null : Math.max(p.high[i] - v, 2e-4)));
      const shade = many ? color : p.low.map((v) => (v !== null && v < page.range_a[0] ? "#b3261e" : color));
      traces.push({ type: "bar", name: esc(many ? p.label : "lowest to highest"), x: names, base: p.low, y: span, marker: { color: shade }, showlegend: many,
        customdata: p.low.map((v, i) => [v, p.high[i]]), hovertemplate: "%{x}: %{customdata[0]:.4f} to %{customdata[1]:.4f} pu" });
    });
    const rule = (y) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { width: 1, dash: "dash", color: "#b3261e" } });
    const all = page.profiles.flatMap((p) => [...p.low, ...p.high]).filter((v) => v !== null);
    const low = Math.min(...all, page.range_a[0] - 0.004), high = Math.max(...all, 1.0), pad = 0.04 * (high - low);
    return Plotly.newPlot(el("profile"), traces, { ...small, height: 330, margin: { ...small.margin, b: 90 }, shapes: page.range_a.map(rule), barmode: "group", bargap: 0.35, legend: { orientation: "h", y: 1.12 },
      xaxis: { type: "category", tickangle: -60, automargin: true, title: { text: "bus, in the order of the feeder's table" } },
      yaxis: { title: { text: "voltage [pu]" }, range: [low - pad, high + pad], gridcolor: "#e6eaee" } }, quiet);
  }

  // --- tables -------------------------------------------------------------------------------------
  let sortBy = 1, down = false;
  function eventTable() {
    const body = el("events-body");
    if (!body) return;
    const kind = el("kind").value, rows = page.events.filter((e) => kind === "" || kinds[e[2]] === kind);
    const key = (e) => (sortBy === 2 ? kinds[e[2]] : sortBy === 4 ? (e[4] === null ? -Infinity : e[4]) : e[sortBy]);
    rows.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); });
    const shown = rows.slice(0, 1000);
    body.replaceChildren(...shown.map((e) => {
      const tr = document.createElement("tr");
      tr.className = "go";
      tr.title = "Show the 20 s around it";
      [many ? runs[e[0]].label : null, Number(e[1].toFixed(6)), kinds[e[2]].replace(/_/g, " "), e[3], valueText(e), e[5]].forEach((cell, i) => {
        if (cell === null) return;
        const td = document.createElement("td");
        td.textContent = cell;
        if (i === 1 || i === 4) td.className = "n";
        if (i === 5) td.className = "wide";
        tr.append(td);
      });
      tr.onclick = () => { location.hash = `t=${e[1] - 10},${e[1] + 10}`; plot.scrollIntoView({ behavior: "smooth" }); };
      return tr;
    }));
    el("events-note").textContent = rows.length > shown.length ? `The first ${shown.length} of ${rows.length}.` : `${rows.length} events.`;
  }
  function wireTables() {
    if (el("kind")) {
      el("kind").onchange = eventTable;
      document.querySelectorAll("#events th[data-col]").forEach((th) => { th.onclick = () => {
        const col = Number(th.dataset.col);
        down = col === sortBy ? !down : false;
        sortBy = col;
        document.querySelectorAll("#events th").forEach((o) => o.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        eventTable();
      }; });
      eventTable();
    }
    document.querySelectorAll("table.sortable").forEach((table) => table.querySelectorAll("th[data-sort]").forEach((th) => { th.onclick = () => {
      const rising = th.getAttribute("aria-sort") !== "ascending", col = Number(th.dataset.sort);
      table.querySelectorAll("th").forEach((o) => o.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const value = (tr) => { const text = tr.cells[col].dataset.v ?? tr.cells[col].textContent; const n = Number(text); return text === "" ? -Infinity : Number.isNaN(n) ? text : n; };
      const rows = [...table.tBodies[0].rows].sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -1 : x > y ? 1 : 0) * (rising ? 1 : -1); });
      table.tBodies[0].append(...rows);
    }; }));
  }

  const began = performance.now();
  wireTables();
  drawPanels().then(drawDistributions).then(drawProfile).then(() => drawStandards(page.standards, { el, small, quiet, many })).then(() => drawCaptures(page.captures, { el, bytes, esc, root, small, quiet, GAP })).then(() => {
    root.dataset.drawMs = String(Math.round(performance.now() - began));
    root.dataset.ready = "1";
  }).catch((e) => { root.dataset.error = String(e && e.stack || e); });
})();
