// The dashboard's plots, drawn by uPlot from /local/dashboard/data.
"use strict";

const colours = ["--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5"];
const special = { errors: "--bad" };
let plots = [];

function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
function shown(unit) {
  return (value) => {
    if (value === null || value === undefined) return "";
    if (unit === "$") return "$" + Number(value.toPrecision(3)).toString();
    if (unit === "s") return value < 1 ? `${Math.round(value * 1000)} ms` : `${Number(value.toPrecision(3))} s`;
    return value >= 10000 ? `${Number((value / 1000).toPrecision(3))}k` : String(value);
  };
}
function draw(element, data) {
  const names = element.dataset.plot.split(",").filter((name) => data.series[name].some((value) => value));
  const format = shown(element.dataset.unit);
  const bars = "bars" in element.dataset ? uPlot.paths.bars({ size: [0.7, 40], align: 1 }) : undefined;
  const axis = { stroke: variable("--dim"), grid: { stroke: variable("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  // Bars of several series stand in front of each other, the largest sums behind.
  const sum = (name) => data.series[name].reduce((total, value) => total + (value ?? 0), 0);
  if (bars) names.sort((a, b) => sum(b) - sum(a));
  const all = element.dataset.plot.split(",");
  const series = names.map((name) => {
    const colour = variable(special[name] ?? colours[all.indexOf(name)]);
    return { label: name, stroke: colour, width: bars ? 0 : 2, fill: bars ? colour : undefined, paths: bars, spanGaps: true,
      points: { show: !bars && data.series.time.length < 30, size: 6, fill: colour }, value: (_, value) => format(value) };
  });
  const span = data.series.time.length * data.width;
  const options = {
    width: element.clientWidth, height: 210, cursor: { y: false }, legend: { live: true },
    scales: { x: { range: (_, low, high) => [low - data.width * 0.2, high + data.width] }, y: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    axes: [{ ...axis, space: 70 }, { ...axis, size: 62, values: (_, values) => values.map(format) }],
    series: [{ value: (_, value) => value === null ? "" : new Date(value * 1000).toLocaleString(undefined, span > 86400 ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false } : { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) }, ...series],
  };
  return new uPlot(options, [data.series.time, ...names.map((name) => data.series[name])], element);
}
function redraw() {
  for (const plot of plots) plot.destroy();
  plots = [...document.querySelectorAll(".plots .plot")].map((element) => draw(element, drawn));
}
let drawn = null;
let waiting = false;
async function show() {
  const box = document.querySelector(".plots");
  if (!box || waiting) return;
  waiting = true;
  drawn = await (await fetch(box.dataset.source)).json();
  redraw();
  box.dataset.drawn = "yes";
  setTimeout(() => { waiting = false; }, 2000);
}
window.addEventListener("theme", () => { if (drawn) redraw(); });
window.addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: plot.root.parentElement.clientWidth, height: 210 })));
document.body.addEventListener("changed", show);
document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "main") { waiting = false; show(); } });
show();
