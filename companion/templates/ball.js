"use strict";
(() => {
  const { root, data, all, draw, start, ticks, nice, logSigma, logSum } =
    window.pslExplorer(document.currentScript);
  const [weights, radii] = all(".live svg");
  const [heat, tau, pick, said] =
    ["input", "output", "select", ".said"].map((s) => root.querySelector(s));

  // The tilted distribution q of losses l, its divergence from the uniform one, and its mean loss.
  function tilt(l, temperature) {
    const total = logSum(l.map((v) => v / temperature));
    const q = l.map((v) => Math.exp(v / temperature - total));
    const mean = q.reduce((a, v, k) => a + v * l[k], 0);
    return { q, mean, radius: mean / temperature - total + Math.log(l.length) };
  }

  function show() {
    const temperature = data.taus[heat.value], n = data.differences.length;
    const { activation, colour } = data.activations[pick.value];
    const l = data.differences.map(logSigma[activation]);
    const { q, mean, radius } = tilt(l, temperature);
    const ratio = q.map((v) => v * n), most = Math.max(...ratio);
    const round = (v, up) => (up ? Math.ceil(2 * v) : Math.floor(2 * v)) / 2;
    draw(weights, {
      title: "worst-case weight of an item, uniform = 1", xlabel: "loss of the item, nats",
      x: ticks(round(Math.min(...l), false), round(Math.max(...l), true), 4),
      y: ticks(0, nice(most), 4),
      lines: [
        ...l.map((v, k) => ({ colour, points: [[v, 0], [v, ratio[k]]] })),
        { colour: "#777", dash: true, points: [[Math.min(...l), 1], [Math.max(...l), 1]] }],
      dots: l.map((v, k) => ({ x: v, y: ratio[k], size: 2.5, colour })),
    });
    const log = Math.log10, ends = [data.taus[0], data.taus.at(-1)];
    const marks = [0.025, 0.05, 0.1, 0.2, 0.5, 1];
    draw(radii, {
      title: "radius η of the ball, nats; dashed: log of the items", xlabel: "temperature τ",
      x: [...ends.map(log), marks.map(log)], xnames: marks, y: ticks(0, 4, 4),
      lines: [
        { colour, points: data.taus.map((t) => [log(t), tilt(l, t).radius]) },
        { colour: "#777", dash: true, points: ends.map((t) => [log(t), Math.log(n)]) }],
      dots: [{ colour, x: log(temperature), y: radius }],
    });
    const plain = l.reduce((a, v) => a + v, 0) / n;
    const fixed = (v) => v.toFixed(3).replace("-", "\u2212");
    tau.textContent = `τ = ${temperature}`;
    heat.setAttribute("aria-valuetext", `${temperature}`);
    said.textContent = `Radius ${fixed(radius)} nats: the mean loss rises from ${fixed(plain)} to `
      + `${fixed(mean)}, and the heaviest item weighs ${most.toFixed(2)} times the uniform weight.`;
  }
  start(show);
})();
