"use strict";
(() => {
  const { root, data, all, draw, start, ticks, nice } = window.pslExplorer(document.currentScript);
  const [surrogate, weight] = all("svg");
  const [pick, slide, shown, said] =
    ["select", "input", "output", ".said"].map((s) => root.querySelector(s));
  function softmax(curve, tau) {
    const z = curve.log.map((v, k) => v / tau + curve.slope[k]);
    const m = Math.max(...z), e = z.map((v) => Math.exp(v - m));
    const s = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / s);
  }
  function show() {
    const tau = data.taus[slide.value];
    const chosen = [data.curves[pick.value], data.curves[data.reference]];
    const weights = chosen.map((c) => softmax(c, tau));
    const panel = (title, values, y) => ({
      title, y, xlabel: "score difference d", x: ticks(-1, 1, 4),
      lines: chosen.map(({ label, colour }, k) => (
        { label, colour, points: values[k].map((v, j) => [data.d[j], v]) })),
    });
    const logs = chosen.map((c) => c.log.map((v) => v / tau));
    draw(surrogate, panel("log σ(d) / τ, nats", logs, ticks(-20, 20, 4)));
    const scaled = weights.map((w) => w.map((v) => v * w.length));
    const highest = nice(Math.max(...scaled.flat()));
    draw(weight, panel("weight of a pair, mean 1", scaled, ticks(0, highest, 4)));
    const share = weights.map((w) => 1 / (w.length * w.reduce((a, v) => a + v * v, 0)));
    const percent = share.map((v) => `${(100 * v).toFixed(1)} %`);
    shown.textContent = `τ = ${tau}`;
    slide.setAttribute("aria-valuetext", `${tau}`);
    said.textContent = `Effective share of the pairs: ${chosen[0].label} ${percent[0]}, `
      + `${chosen[1].label} ${percent[1]}.`;
  }
  start(show);
})();
