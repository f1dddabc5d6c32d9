"use strict";
(() => {
  const { root, data, all, draw, start, ticks, percent } =
    window.pslExplorer(document.currentScript);
  const picks = all("select"), panels = all(".live svg"), heads = all(".live th.number");
  const [body, said] = ["tbody", ".said"].map((s) => root.querySelector(s));
  const fixed = (v) => (v === null || v === undefined ? "\u2013" : v.toFixed(4));

  // Ours as a dot with its interval, print as a dashed line, a row for each loss.
  function panel(metric, pair, cells) {
    const every = cells.flatMap((c) => [c.paper, c.ours, c.low, c.high]).filter((v) => v !== null);
    const low = Math.min(...every), high = Math.max(...every), wide = (high - low || high) * 0.15;
    const x = every.length ? ticks(low - wide, high + wide, 3) : [0, 1, []];
    const lines = [], dots = [], texts = [];
    cells.forEach((cell, k) => {
      const colour = data.colours[pair[k]], row = 0.68 - 0.5 * k;
      if (cell.low !== null) {
        lines.push({ colour, points: [[cell.low, row], [cell.high, row]] });
      }
      if (cell.paper !== null) {
        lines.push({ colour, dash: true, points: [[cell.paper, row - 0.1], [cell.paper, row + 0.1]] });
      }
      if (cell.ours !== null) dots.push({ colour, x: cell.ours, y: row });
      texts.push({ colour, x: x[0], y: row + 0.16, text: data.labels[pair[k]] });
    });
    return { title: `${metric}; dot: ours, dashed: printed`, xlabel: "value", x, y: [0, 1, []],
      lines, dots, texts };
  }

  function show() {
    const [dataset, backbone, ...pair] = picks.map((p) => p.value);
    const none = { paper: null, ours: null, low: null, high: null, seeds: 0 };
    let rows = "", told = "";
    data.metrics.forEach((metric, k) => {
      const place = `${dataset} ${backbone} ${metric}`;
      const cells = pair.map((loss) => ({ ...none, ...data.values[place]?.[loss] }));
      draw(panels[k], panel(metric, pair, cells));
      const [of, over] = cells;
      const printed = of.paper === null || over.paper === null ? null : of.paper / over.paper - 1;
      const gain = data.gains[place]?.[pair.join(" ")];
      const line = (what, values) => `<tr><th scope="row">${metric}</th><td>${what}</td>`
        + values.map((v) => `<td class="number">${v}</td>`).join("") + "</tr>";
      const ends = gain && gain[1] !== null ? `${percent(gain[1])} to ${percent(gain[2])}` : "\u2013";
      rows += line("printed", [fixed(of.paper), fixed(over.paper), percent(printed), "", ""]);
      rows += line("ours", [fixed(of.ours), fixed(over.ours), percent(gain ? gain[0] : null), ends,
        gain ? gain[3] : 0]);
      const clear = gain && gain[1] !== null && gain[1] * gain[2] > 0;
      told = !gain ? "no pair of runs yet"
        : gain[1] === null ? "one pair of runs, so no interval"
          : clear ? "the interval does not contain zero" : "the interval contains zero";
    });
    body.innerHTML = rows;
    heads.slice(0, 2).forEach((head, k) => { head.textContent = data.labels[pair[k]]; });
    said.textContent = pair[0] === pair[1] ? "Choose two losses."
      : `${data.labels[pair[0]]} over ${data.labels[pair[1]]}, ${data.metrics.at(-1)}: ${told}.`;
  }
  start(show);
})();
