// The dashboard's plots, drawn by uPlot from /local/dashboard/data.
"use strict";

const colours = ["--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5"];
const special = { errors: "--bad" };
let plots = [];

function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
const whole = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();  // steps of counts
const units = [[1e9, "B"], [1e6, "M"], [1e4, "k"]];
function shown(unit) {
  return (value) => {
    if (value === null || value === undefined) return "–";
    if (unit === "$") return "$" + Number(value.toPrecision(3)).toString();
    if (unit === "s") return value < 1 ? `${Math.round(value * 1000)} ms` : `${Number(value.toPrecision(3))} s`;
    const [size, name] = units.find(([least]) => value >= least) ?? [1, ""];
    return name ? Number((value / (name === "k" ? 1000 : size)).toPrecision(3)) + name : String(Number(value.toPrecision(6)));
  };
}
// Ticks of the time axis: the clock, and the date where it changes.
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clockWithSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
function ticks(_, times, axis, space, step) {
  let last = null;
  return times.map((time) => {
    const date = day.format(time * 1000);
    const isNew = date !== last;
    last = date;
    if (step >= 86400) return date;
    return (step < 60 ? clockWithSeconds : clock).format(time * 1000) + (isNew ? "\n" + date : "");
  });
}
function draw(element, data) {
  const all = element.dataset.plot.split(",");
  const names = all.filter((name) => data.series[name].some((value) => value));
  const format = shown(element.dataset.unit);
  const stacked = "stacked" in element.dataset;
  const bars = "bars" in element.dataset ? uPlot.paths.bars({ size: [0.7, 40], align: 1 }) : undefined;
  const axis = { stroke: variable("--dim"), grid: { stroke: variable("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  // Each series stands on those before it: its bar starts at zero, and theirs are painted over it.
  const total = data.series.time.map(() => 0);
  const tops = Object.fromEntries(names.map((name) => [name, data.series[name].map((value, index) => (total[index] += value ?? 0))]));
  if (stacked) names.reverse();
  const series = names.map((name) => {
    const colour = variable(special[name] ?? colours[all.indexOf(name)]);
    return { label: name, stroke: colour, width: bars ? 0 : 2, fill: bars ? colour : undefined, paths: bars, spanGaps: true,
      points: { show: !bars && data.series.time.length < 30, size: 6, fill: colour },
      value: (_, value, __, index) => format(index === null || index === undefined ? null : data.series[name][index]) };
  });
  const span = data.series.time.length * data.width;
  const options = {
    width: element.clientWidth, height: 210, cursor: { y: false }, legend: { live: true },
    scales: { x: { range: (_, low, high) => [low - data.width * 0.2, high + data.width] }, y: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    axes: [{ ...axis, space: 70, values: ticks }, { ...axis, size: 62, values: (_, values) => values.map(format), ...(element.dataset.unit ? {} : { incrs: whole }) }],
    series: [{ value: (_, value) => value === null ? "–" : new Date(value * 1000).toLocaleString(undefined, span > 86400 ? { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false } : { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) }, ...series],
  };
  return new uPlot(options, [data.series.time, ...names.map((name) => (stacked ? tops : data.series)[name])], element);
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
