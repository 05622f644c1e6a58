"use strict";
// The fault recorder's view of the captures: one at a time, a panel for each unit, time counted from its event.
function drawCaptures(captures, { el, bytes, esc, root, small, quiet, GAP }) {
  function drawCapture(k) {
    const capture = captures[k], x = Array.from(new Float64Array(bytes(capture.t)));
    const units = [...new Set(capture.curves.map((c) => c.unit))].sort((a, b) => (a === "pu" ? -1 : b === "pu" ? 1 : a < b ? -1 : 1));
    const traces = capture.curves.map((c) => {
      const q = new Int16Array(bytes(c.q)), axis = units.indexOf(c.unit);
      return { type: "scatter", mode: "lines", name: esc(c.label), x, y: Array.from(q, (v) => (v === GAP ? null : c.lo + c.step * (v + 32767))),
        yaxis: axis ? `y${axis + 1}` : "y", line: { width: 1.2, shape: "hv" }, hovertemplate: `%{y:.5~g} ${c.unit}` };
    });
    const n = units.length, lay = { ...small, height: 90 + 230 * n, hovermode: "x unified", legend: { font: { size: 11 } },
      xaxis: { title: { text: "time from the event [s]" }, gridcolor: "#e6eaee", zeroline: false, anchor: n > 1 ? `y${n}` : "y" },
      shapes: [{ type: "line", xref: "x", yref: "paper", x0: 0, x1: 0, y0: 0, y1: 1, line: { width: 1, dash: "dot", color: "#b3261e" } }] };
    units.forEach((unit, i) => { lay[i ? `yaxis${i + 1}` : "yaxis"] = { domain: [1 - (i + 1) / n + (i + 1 < n ? 0.04 : 0), 1 - i / n], title: { text: `[${unit}]` }, gridcolor: "#e6eaee", zeroline: false }; });
    root.dataset.capture = String(k);
    return Plotly.react(el("capture"), traces, lay, quiet);
  }
  const choice = el("capture-choice");
  if (!choice || !captures.length) return null;
  choice.replaceChildren(...captures.map((c, k) => { const option = document.createElement("option"); option.value = k; option.textContent = c.label; return option; }));
  choice.onchange = () => drawCapture(Number(choice.value));
  return drawCapture(0);
}
