"use strict";
(() => {
  const { root, data, all, draw, start, drag, ticks, nice, logSigma, logSum } =
    window.pslExplorer(document.currentScript);
  const [curves, bars] = all("svg"), [slide, heat] = all("input"), [at, tau] = all("output");
  const [pick, said] = ["select", ".said"].map((s) => root.querySelector(s));
  const cells = all(".live tbody tr").map((row) => [...row.querySelectorAll("td")]);
  // The four links, each a bound on the one before; the positive is one of the items.
  function links(score, temperature, activation) {
    const d = [0, ...data.scores.map((f) => f - score)];
    const rank = d.filter((v) => v >= 0).length;
    const loss = (sigma) => logSum(d.map((v) => logSigma[sigma](v) / temperature));
    return { rank, values: [Math.log(Math.log2(1 + rank)), Math.log(rank), loss(activation), loss("exp")] };
  }
  const grid = [...Array(201).keys()].map((k) => -0.5 + k / 200);
  const signed = (v) => `${v < 0 ? "\u2212" : "+"}${Math.abs(v).toFixed(3)}`;

  function show() {
    const score = +slide.value, temperature = data.taus[heat.value];
    const { activation, colour, label } = data.activations[pick.value];
    const { rank, values } = links(score, temperature, activation);
    const colours = [data.neutrals[0], data.neutrals[1], colour, data.reference];
    const names = ["\u2212log DCG", "log rank", label, "SL"];
    const lines = grid.map((f) => links(f, temperature, activation).values);
    const high = nice(Math.max(...lines.flat()));
    draw(curves, {
      title: "nats, over the score of the positive", xlabel: "score; dots: the other items",
      x: ticks(-0.5, 0.5, 4), y: ticks(0, high, 4), at: score, names: 210,
      lines: names.map((name, k) => (
        { label: name, colour: colours[k], points: grid.map((f, j) => [f, lines[j][k]]) })),
      dots: [
        ...data.scores.map((f) => ({ x: f, y: 0, size: 2.5, colour: f >= score ? "#222" : "#aaa" })),
        { x: score, y: 0, size: 5, colour }],
    });
    const most = nice(Math.max(...values, 1));
    draw(bars, {
      title: "each link bounds the one above", xlabel: "nats",
      x: ticks(0, most, 4), y: [0, 4, []],
      lines: values.map((v, k) => (
        { colour: colours[k], width: 8, points: [[0, 3.3 - k], [v, 3.3 - k]] })),
      texts: names.map((name, k) => (
        { x: 0, y: 3.55 - k, colour: colours[k], text: `${name}  ${values[k].toFixed(3)}` })),
    });
    values.forEach((v, k) => {
      const last = k === values.length - 1;
      cells[k][0].textContent = v.toFixed(3);
      cells[k][1].textContent = last ? "\u2013" : signed(values[k + 1] - v);
    });
    all(".live tbody th")[2].textContent = label;
    at.textContent = `${score.toFixed(2)}`.replace("-", "\u2212");
    tau.textContent = `τ = ${temperature}`;
    slide.setAttribute("aria-valuetext", `${score.toFixed(2)}, rank ${rank}`);
    heat.setAttribute("aria-valuetext", `${temperature}`);
    const kept = values.every((v, k) => k === 0 || v >= values[k - 1] - 1e-12);
    said.textContent = `Rank ${rank} of ${data.scores.length + 1}, DCG ${(1 / Math.log2(1 + rank)).toFixed(3)}; `
      + (kept ? "every link is a bound." : `${label} is above SL: Lemma 4.1 does not cover it.`);
  }
  drag(curves, slide, show);
  start(show);
})();
