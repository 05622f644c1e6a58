"use strict";
// Unpacks the plotting library, then runs the page's own scripts in their order.
(async function () {
  const root = document.documentElement;
  try {
    const raw = atob(document.getElementById("library").textContent), packed = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
    const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    const later = [...document.querySelectorAll("script.later")].map((s) => s.textContent);
    for (const source of [text, ...later]) {
      const script = document.createElement("script");
      script.textContent = source;
      document.body.append(script);
    }
  } catch (e) {
    root.dataset.error = String(e && e.stack || e);
    document.getElementById("panels").textContent = "This browser cannot unpack the pictures (it needs DecompressionStream: Chrome 80, Firefox 113, Safari 16.4 or newer). The tables do not need it.";
  }
})();
