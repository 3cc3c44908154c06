// The charts. Colours are read from the style sheet, again when they change.
import { capacityOf, kneeOf, timeAt } from './figures.js';
import { count, percent, time } from './advice.js';

let ink = {};

export function readColours() {
  const css = getComputedStyle(document.documentElement);
  ink = {};
  for (const name of ['text', 'muted', 'grid', 's1', 's2', 's3', 's4', 's5', 's6']) ink[name] = css.getPropertyValue('--' + name).trim();
}

const font = '12px system-ui, sans-serif';
const axis = (more) => ({ stroke: () => ink.muted, grid: { stroke: () => ink.grid, width: 1 }, ticks: { show: false }, font, size: 56, ...more });

const clock = (t) => new Date(t * 1000).toLocaleTimeString('en-GB');

function make(id, options, data, more = {}) {
  const box = document.getElementById(id);
  const size = () => ({ width: Math.max(200, box.clientWidth), height: box.clientHeight });
  const u = new uPlot({ ...size(), legend: { show: false }, cursor: { show: false }, padding: [8, more.right ?? 12, 0, 0], ...options }, data, box);
  new ResizeObserver(() => { const s = size(); if (s.width !== u.width || s.height !== u.height) u.setSize(s); }).observe(box);
  return u;
}

// A chart of columns over time.
function overTime(id, colours, format, more = {}) {
  return make(id, {
    scales: { x: { time: true }, y: more.log
      ? { distr: 3, range: (u, low, high) => tens([low || 1e-4, high || 1e-2]) }
      : { range: (u, low, high) => [0, Math.max(high || 0, more.least ?? 0) * 1.1 || 1] } },
    axes: [axis({ size: 28, space: 90, values: (u, all) => all.map(clock) }), axis({
      values: (u, all) => all.map(format), ...(more.log && { filter: (u, all) => all, splits: (u) => decades([u.scales.y.min, u.scales.y.max]) }),
    })],
    series: [{}, ...colours.map((c) => ({ stroke: () => ink[c], width: 1.75, points: { show: false }, paths: more.paths, ...(c === more.filled && { fill: () => ink[c] + '30' }) }))],
  }, [[], ...colours.map(() => [])]);
}

export class Charts {
  constructor() {
    readColours();
    this.trail = [];
    this.flow = overTime('c-flow', ['s1', 's2', 's4'], count, { filled: 's1' });
    this.times = overTime('c-times', ['s1', 's3', 's4'], time, { log: true });
    this.slots = overTime('c-slots', ['s5'], (v) => Number.isInteger(v) ? String(v) : '', { least: 4, paths: uPlot.paths.stepped({ align: 1 }) });
    this.curve = this.makeCurve();
  }

  makeCurve() {
    return make('c-curve', {
      scales: { x: { time: false, distr: 3, range: () => this.xs ?? [1, 10] }, y: { distr: 3, range: () => this.ys ?? [1e-5, 1] } },
      axes: [
        axis({ size: 30, splits: () => decades(this.xs ?? [1, 10]), filter: (u, all) => all, values: (u, all) => all.map((v) => count(v) + '/s') }),
        axis({ size: 64, splits: () => decades(this.ys ?? [1e-5, 1]), filter: (u, all) => all, values: (u, all) => all.map(time) }),
      ],
      series: [{}, { stroke: () => ink.s1, width: 1.5, dash: [6, 4], points: { show: false } }],
      hooks: { draw: [(u) => this.drawTrail(u)] },
    }, [[1, 10], [null, null]], { right: 30 });
  }

  redraw() {
    readColours();
    for (const u of [this.flow, this.times, this.slots, this.curve]) u.redraw(false, true);
  }

  // update draws the history of one resource.
  update(history, resource, model) {
    const t = history.rows.map((r) => r.t);
    const wait = (i) => history.column((r) => r.waits[resource]?.[i] || null); // a logarithmic axis has no 0
    this.flow.setData([t, history.column((r) => r.rates.offered_rps), history.column((r) => r.rates.goodput_rps), history.column((r) => r.rates.refused_rps)]);
    this.times.setData([t, wait(0), wait(1), wait(2)]);
    this.slots.setData([t, history.column((r) => r.k)]);
    this.trail = history.rows.filter((r) => !r.gap && r.waits[resource] && r.rates.throughput_rps >= 1)
      .slice(-300).map((r) => [r.rates.throughput_rps, r.waits[resource][1]]);
    this.model = model;
    this.scaleCurve();
    this.curve.setData(this.modelLine());
  }

  // The ranges end at powers of ten, so that they seldom move.
  scaleCurve() {
    const xs = this.trail.map((p) => p[0]), ys = this.trail.map((p) => p[1]).filter((y) => y > 0);
    if (this.model) {
      xs.push(capacityOf(this.model) * 1.2);
      ys.push(timeAt(this.model, 0));
    }
    this.xs = xs.length ? tens(xs) : [1, 1e5];
    this.ys = ys.length ? tens(ys) : [1e-5, 1];
    if (this.ys[1] / this.ys[0] < 100) this.ys[1] = this.ys[0] * 100;
  }

  modelLine() {
    if (!this.model) return [this.xs, [null, null]];
    const end = capacityOf(this.model) * 0.995, x = [], y = [];
    const step = Math.log(end / this.xs[0]) / 80;
    for (let i = 0; i <= 80; i++) {
      x.push(this.xs[0] * Math.exp(step * i));
      y.push(timeAt(this.model, x[i]));
    }
    return [x, y];
  }

  drawTrail(u) {
    const c = u.ctx, px = devicePixelRatio;
    const at = (p) => [u.valToPos(p[0], 'x', true), u.valToPos(Math.max(p[1], this.ys?.[0] ?? 1e-5), 'y', true)];
    c.save();
    c.beginPath();
    c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    c.clip();
    if (this.model) {
      this.upright(u, kneeOf(this.model), ink.s6, 'knee', 18); // lower, as the two may be close
      this.upright(u, capacityOf(this.model), ink.s4, 'capacity', 0);
    }
    this.trail.forEach((p, i) => {
      const [x, y] = at(p), newest = i === this.trail.length - 1;
      c.globalAlpha = newest ? 1 : 0.08 + 0.4 * i / this.trail.length;
      c.fillStyle = ink.s3;
      c.beginPath();
      c.arc(x, y, (newest ? 7 : 3) * px, 0, 7);
      c.fill();
    });
    c.restore();
  }

  upright(u, value, colour, text, lower) {
    const c = u.ctx, px = devicePixelRatio, x = u.valToPos(value, 'x', true);
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = 1.5 * px;
    c.setLineDash([]);
    c.beginPath();
    c.moveTo(x, u.bbox.top);
    c.lineTo(x, u.bbox.top + u.bbox.height);
    c.stroke();
    c.font = `${12 * px}px system-ui, sans-serif`;
    c.textAlign = 'right';
    c.textBaseline = 'top';
    c.fillText(text, x - 5 * px, u.bbox.top + (4 + lower) * px);
  }

  // words says the trade-off for those who do not see it.
  words() {
    const now = this.trail.at(-1);
    if (!now) return 'No requests yet.';
    const here = `Now ${count(now[0])} requests a second, 95 of 100 within ${time(now[1])}.`;
    if (!this.model) return here;
    const knee = kneeOf(this.model), full = capacityOf(this.model);
    return `${here} By the model a typical request takes twice as long from ${count(knee)} rows a second on (the knee, ${percent(knee / full)} of the capacity of ${count(full)}).`;
  }
}

// tens are the powers of ten around figures.
const tens = (all) => [10 ** Math.floor(Math.log10(Math.min(...all))), 10 ** Math.ceil(Math.log10(Math.max(...all) * 1.05))];

// decades are the powers of ten from one to another.
function decades([low, high]) {
  const all = [];
  for (let e = Math.round(Math.log10(low)); e <= Math.round(Math.log10(high)); e++) all.push(10 ** e);
  return all;
}
