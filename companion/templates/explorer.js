"use strict";
// What the explorers share: their data, the first showing, and a panel with axes.
window.pslExplorer = (script) => {
  const root = script.closest(".psl-explorer");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const left = 42, right = 318, top = 22, bottom = 192, pixel = new Map();
  const escaped = (text) => text.replace(/[&<]/g, (c) => (c === "&" ? "&amp;" : "&lt;"));

  // panel: title, xlabel, x and y as [low, high, ticks], xnames and ynames in place of the ticks'
  // numbers, lines as {points, colour, label, dash, width}, dots as {x, y, colour, size}, texts as
  // {x, y, text, colour}, and a vertical line at.
  function draw(svg, panel) {
    const scale = ([low, high], from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);
    const x = scale(panel.x, left, right), y = scale(panel.y, bottom, top);
    pixel.set(svg, scale([left, right], panel.x[0], panel.x[1]));
    const number = (v) => `${+v.toPrecision(3)}`.replace("-", "\u2212");
    let out = `<text x="${left}" y="13">${escaped(panel.title)}</text>`;
    panel.y[2].forEach((v, k) => {
      out += `<path d="M${left} ${y(v)}H${right}" stroke="#ddd"/>`
        + `<text x="${left - 5}" y="${y(v) + 4}" text-anchor="end">`
        + `${panel.ynames ? panel.ynames[k] : number(v)}</text>`;
    });
    panel.x[2].forEach((v, k) => {
      const label = panel.xnames ? panel.xnames[k] : number(v);
      out += `<text x="${x(v)}" y="${bottom + 15}" text-anchor="middle">${label}</text>`;
    });
    out += `<text x="${(left + right) / 2}" y="${bottom + 32}" text-anchor="middle">`
      + `${escaped(panel.xlabel)}</text>`;
    if (panel.at !== undefined) {
      out += `<path class="at" d="M${x(panel.at)} ${top}V${bottom}" stroke="#777" stroke-dasharray="3 3"/>`;
    }
    panel.lines.forEach((line, k) => {
      let path = "", pen = "M";
      for (const [at, v] of line.points) {
        if (v < panel.y[0] || v > panel.y[1]) { pen = "M"; continue; }
        path += `${pen}${x(at).toFixed(1)} ${y(v).toFixed(1)}`;
        pen = "L";
      }
      out += `<path class="curve" d="${path}" fill="none" stroke-width="${line.width || 2}" `
        + `stroke="${line.colour}"${line.dash ? ' stroke-dasharray="3 2"' : ""}/>`;
      if (line.label) {
        out += `<text x="${(panel.names || left) + 8}" y="${top + 14 + 15 * k}" `
          + `style="fill:${line.colour}">${escaped(line.label)}</text>`;
      }
    });
    for (const text of panel.texts || []) {
      out += `<text x="${x(text.x)}" y="${y(text.y)}" style="fill:${text.colour}">`
        + `${escaped(text.text)}</text>`;
    }
    for (const dot of panel.dots || []) {
      out += `<circle class="dot" cx="${x(dot.x).toFixed(1)}" cy="${y(dot.y).toFixed(1)}" `
        + `r="${dot.size || 4}" fill="${dot.colour}"/>`;
    }
    svg.innerHTML = out;
  }

  // Show at once, and again whenever a knob moves.
  function start(show) {
    for (const knob of all("select, input")) knob.addEventListener("input", show);
    root.querySelector(".live").hidden = false;
    show();
  }
  // A finger or the mouse on a panel moves the slider; the slider itself is for the keyboard.
  function drag(svg, slider, show) {
    const move = (event) => {
      if (!event.buttons) return;
      const place = new DOMPoint(event.clientX, event.clientY);
      slider.value = pixel.get(svg)(place.matrixTransform(svg.getScreenCTM().inverse()).x);
      show();
    };
    svg.classList.add("drag");
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointermove", move);
  }
  // The next of 1, 2, 5, 10 and so on.
  const nice = (v) => {
    const p = 10 ** Math.floor(Math.log10(v));
    return [1, 2, 5, 10].map((k) => k * p).find((k) => k >= v * (1 - 1e-9));
  };
  // A number with its sign, in percent; a dash where there is none.
  const percent = (v) => (v === null || Number.isNaN(v) ? "\u2013"
    : `${v < 0 ? "\u2212" : "+"}${Math.abs(100 * v).toFixed(1)}%`);
  // log sigma of a score difference, equation (4.2).
  const logSigma = {
    exp: (d) => d,
    tanh: (d) => Math.log1p(Math.tanh(d)),
    atan: (d) => Math.log1p(Math.atan(d)),
    relu: (d) => (d > -1 ? Math.log1p(d) : -Infinity),
    softplus: (d) => Math.log1p(Math.exp(d)),
  };
  function logSum(values) {
    const most = Math.max(...values);
    return most + Math.log(values.reduce((a, v) => a + Math.exp(v - most), 0));
  }
  const ticks = (low, high, parts) => [low, high,
    [...Array(parts + 1).keys()].map((k) => low + (k / parts) * (high - low))];
  return { root, data, all, draw, start, drag, ticks, nice, percent, logSigma, logSum };
};
