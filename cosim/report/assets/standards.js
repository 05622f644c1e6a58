"use strict";
// Voltage events over their duration with tolerance curves, and the spectrum of power with its bands.
function drawStandards(data, { el, small, quiet, many }) {
  const CURVE = { itic: { color: "#1b2733", dash: "solid" }, semi_f47: { color: "#7a3b8f", dash: "dash" } };
  const decades = (lo, hi) => { const out = []; for (let k = lo; k <= hi; k++) out.push(k); return out; };
  const named = (v) => (v >= 1 || v === 0 ? String(v) : v.toFixed(Math.round(-Math.log10(v))));
  function tolerance() {
    const box = el("tolerance");
    if (!box) return null;
    const traces = data.curves.map((c) => ({ type: "scatter", mode: "lines", name: c.name, x: c.x, y: c.y,
      line: { shape: "hv", width: 1.8, ...(CURVE[c.key] || { color: "#5b6b7a", dash: "dot" }) }, hovertemplate: "%{y:.2f} pu from %{x} s" }));
    data.tolerance.forEach((t) => { if (t.x.length) traces.push({ type: "scatter", mode: "markers", name: many ? t.label : "events", x: t.x, y: t.y, text: t.text,
      error_x: { type: "data", symmetric: false, array: t.x.map(() => 0), arrayminus: t.shorter.map((s, i) => Math.min(s, t.x[i] * 0.999)), thickness: 1, width: 0, color: "rgba(91,107,122,0.35)" },
      marker: { size: 8, color: many ? t.color : "#b3261e", line: { width: 1, color: "#fff" } }, hovertemplate: "%{y:.3f} pu, %{x:.4~g} s<br>%{text}<extra></extra>" }); });
    const longest = Math.max(1e3, ...data.tolerance.flatMap((t) => t.x)), hi = Math.ceil(Math.log10(longest) - 1e-9);
    const ticks = decades(-3, hi).map((k) => Math.pow(10, k));
    return Plotly.newPlot(box, traces, { ...small, height: 400, hovermode: "closest", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      xaxis: { type: "log", range: [-3, hi], title: { text: "duration [s]" }, tickvals: ticks, ticktext: ticks.map(named), gridcolor: "#e6eaee", zeroline: false },
      yaxis: { title: { text: "lowest or highest voltage [pu]" }, range: [-0.04, 1.45], gridcolor: "#e6eaee", zeroline: false } }, quiet);
  }
  function spectrum() {
    const box = el("spectrum");
    if (!box) return null;
    const traces = data.spectra.map((s) => ({ type: "scatter", mode: "lines", name: s.label, x: s.x, y: s.y, line: { color: s.color, dash: s.dash, width: 1.4 },
      hovertemplate: "%{y:.3~g} MW/sqrt(Hz) at %{x:.4~g} Hz" }));
    const top = Math.max(...data.spectra.flatMap((s) => s.x)), hi = Math.log10(Math.max(top, 1));
    const shapes = data.bands.filter((b) => b[0] < top).map((b, i) => ({ type: "rect", xref: "x", yref: "paper", x0: b[0], x1: Math.min(b[1], top), y0: 0, y1: 1, layer: "below",
      line: { width: 0 }, fillcolor: i % 2 ? "rgba(91,107,122,0.13)" : "rgba(91,107,122,0.05)" }));
    data.limited.forEach((b) => shapes.push({ type: "line", xref: "x", yref: "paper", x0: b[0], x1: Math.min(b[1], top), y0: 0.012, y1: 0.012, line: { width: 4, color: "#b3261e" } }));
    const marks = data.bands.filter((b) => b[0] < top).map((b) => ({ xref: "x", yref: "paper", y: 1, yanchor: "top", showarrow: false, font: { size: 10, color: "#5b6b7a" },
      x: (Math.log10(b[0]) + Math.log10(Math.min(b[1], top))) / 2, text: `${b[0]} to ${b[1]} Hz` }));
    const values = data.spectra.flatMap((s) => s.y).filter((v) => v > 0);
    const highest = Math.max(...values), lowest = Math.max(Math.min(...values), highest * 1e-6);
    const lo = Math.floor(Math.log10(lowest)), up = Math.ceil(Math.log10(highest) + 0.2);
    const xt = decades(-2, Math.floor(hi)).map((k) => Math.pow(10, k));
    return Plotly.newPlot(box, traces, { ...small, height: 380, shapes, annotations: box.clientWidth < 700 ? [] : marks, hovermode: "closest", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      xaxis: { type: "log", range: [-2, hi], title: { text: "frequency [Hz]; red: band of a limit" }, tickvals: xt, ticktext: xt.map(named), gridcolor: "#e6eaee", zeroline: false },
      yaxis: { type: "log", range: [lo, up], title: { text: "amplitude density [MW/&#8730;Hz]" }, gridcolor: "#e6eaee", zeroline: false, exponentformat: "power", dtick: 1 } }, quiet);
  }
  return Promise.resolve(tolerance()).then(spectrum);
}
