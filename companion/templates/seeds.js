"use strict";
(() => {
  const { root, data, all, draw, start, ticks } = window.pslExplorer(document.currentScript);
  const [chance, wanted] = all(".live svg"), [where, questions] = all("select");
  const [slide, shown, said] = ["input", "output", ".said"].map((s) => root.querySelector(s));
  const log = Math.log10, percent = (v, digits = 0) => `${(100 * v).toFixed(digits)} %`;

  function show() {
    const place = data.places[where.value], gain = data.gains[slide.value];
    const [found, needed] = [place.found, place.needed].map((v) => v[questions.value]);
    const curve = found[slide.value], enough = needed[slide.value];
    const colour = data.colour;
    draw(chance, {
      title: `found in so many cases; dot: ${place.seeds} seeds, as recorded`, xlabel: "seeds of both losses",
      x: [log(2), 2, [2, 5, 10, 20, 50, 100].map(log)], xnames: [2, 5, 10, 20, 50, 100],
      y: ticks(0, 1, 4),
      lines: [
        { colour, points: data.counts.map((n, k) => [log(n), curve[k]]) },
        { colour: "#777", dash: true, points: [[log(2), data.wanted], [2, data.wanted]] }],
      dots: [{ colour, x: log(place.seeds), y: curve[data.counts.indexOf(place.seeds)] }],
    });
    const points = data.gains.map((g, k) => [log(g), needed[k]]).filter(([, n]) => n !== null)
      .map(([g, n]) => [g, log(n)]);
    draw(wanted, {
      title: "seeds that find it in four cases of five", xlabel: "true gain, percent",
      x: [log(data.gains[0]), log(data.gains.at(-1)), data.marks.map(log)], xnames: data.marks,
      y: ticks(0, 3, 3), ynames: [1, 10, 100, 1000], lines: [{ colour, points }],
      dots: enough === null ? [] : [{ colour, x: log(gain), y: log(enough) }],
    });
    shown.textContent = `${gain} %`;
    slide.setAttribute("aria-valuetext", `${gain} percent`);
    const often = percent(curve[data.counts.indexOf(place.seeds)]);
    said.textContent = `A seed moves the gain by ${percent(place.spread, 1)}. The ${place.seeds} recorded `
      + `seeds find a gain of ${gain} % in ${often} of the cases; `
      + (enough === null ? "not even 1000 find it in four of five."
        : `${enough} find it in four of five.`);
  }
  start(show);
})();
