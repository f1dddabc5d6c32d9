"use strict";
(() => {
  const root = document.currentScript.closest(".psl-explorer");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const [surrogate, weight] = root.querySelectorAll("svg");
  const [pick, slide, shown, said] =
    ["select", "input", "output", ".said"].map((s) => root.querySelector(s));
  const left = 42, right = 318, top = 22, bottom = 192;
  const x = (d) => left + ((d + 1) / 2) * (right - left);
  const nice = (v) => {
    const p = 10 ** Math.floor(Math.log10(v));
    return [1, 2, 5, 10].map((k) => k * p).find((k) => k >= v);
  };
  function softmax(curve, tau) {
    const z = curve.log.map((v, k) => v / tau + curve.slope[k]);
    const m = Math.max(...z), e = z.map((v) => Math.exp(v - m));
    const s = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / s);
  }
  function draw(svg, title, lines, low, high) {
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
    let out = `<text x="${left}" y="13">${title}</text>`;
    for (let k = 0; k <= 4; k++) {
      const v = low + (k / 4) * (high - low), d = -1 + k / 2;
      out += `<path d="M${left} ${y(v)}H${right}" stroke="#ddd"/>`
        + `<text x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${+v.toPrecision(3)}</text>`
        + `<text x="${x(d)}" y="${bottom + 15}" text-anchor="middle">${d}</text>`;
    }
    out += `<text x="${(left + right) / 2}" y="${bottom + 32}" text-anchor="middle">`
      + "score difference d</text>";
    for (const line of lines) {
      let path = "", pen = "M";
      data.d.forEach((d, k) => {
        const v = line.values[k];
        if (v < low || v > high) { pen = "M"; return; }
        path += `${pen}${x(d).toFixed(1)} ${y(v).toFixed(1)}`;
        pen = "L";
      });
      out += `<path class="curve" d="${path}" fill="none" stroke-width="2" `
        + `stroke="${line.colour}"/>`;
    }
    lines.forEach((line, k) => {
      out += `<text x="${left + 8}" y="${top + 14 + 15 * k}" style="fill:${line.colour}">`
        + `${line.label}</text>`;
    });
    svg.innerHTML = out;
  }
  function show() {
    const tau = data.taus[slide.value];
    const chosen = [data.curves[pick.value], data.curves[data.reference]];
    const weights = chosen.map((c) => softmax(c, tau));
    const lines = (values) => chosen.map((c, k) => (
      { values: values[k], label: c.label, colour: c.colour }));
    draw(surrogate, "log σ(d) / τ, nats", lines(chosen.map((c) => c.log.map((v) => v / tau))),
      -20, 20);
    const scaled = weights.map((w) => w.map((v) => v * w.length));
    draw(weight, "weight of a pair, mean 1", lines(scaled), 0, nice(Math.max(...scaled.flat())));
    const share = weights.map((w) => 1 / (w.length * w.reduce((a, v) => a + v * v, 0)));
    const percent = share.map((v) => `${(100 * v).toFixed(1)} %`);
    shown.textContent = `τ = ${tau}`;
    slide.setAttribute("aria-valuetext", `${tau}`);
    said.textContent = `Effective share of the pairs: ${chosen[0].label} ${percent[0]}, `
      + `${chosen[1].label} ${percent[1]}.`;
  }
  pick.addEventListener("input", show);
  slide.addEventListener("input", show);
  show();
})();
