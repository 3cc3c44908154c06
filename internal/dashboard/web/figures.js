// Figures that follow from the statistics. Nothing here touches the page.

export const kept = 600; // seconds of history

// busiest is the resource that most rows are asked of, answered or not; while nobody
// asks, the one that was asked most.
export function busiest(stats) {
  const names = Object.keys(stats.resources).sort();
  const asked = (name) => {
    const r = stats.resources[name];
    return [Math.max(r.rates.rows_per_second, r.rates.offered_rps), r.answered + r.failed];
  };
  return names.reduce((a, b) => {
    const [x, y] = [asked(a), asked(b)];
    return y[0] > x[0] || y[0] === x[0] && y[1] > x[1] ? b : a;
  }, names[0]);
}

const rowsOf = (stats, name) => stats.resources[name].rates.rows_per_second;

// inflation is m, how much slower batches are than the model says, as the tuner last
// saw it; never below 1.
export function inflation(stats) {
  const m = /\bm ([\d.]+)/.exec(stats.backend.decision);
  return Math.max(1, m ? Number(m[1]) : 1);
}

// modelled is how a resource's batches behave: T(n) = a + b·n, at most k at once and
// of at most n keys. While all batches were of one key, nothing is known of larger
// ones: then they count for one key each, which is less than it can do. Null before
// the first batch.
export function modelled(stats, name) {
  const r = stats.resources[name], b = stats.backend;
  if (!r) return null;
  if (!(r.model.batch_seconds + r.model.key_seconds > 0)) {
    const s = lane(stats, name, 'normal', 'service');
    return s.samples && s.p50 > 0 ? { a: s.p50, b: 0, k: Math.max(1, b.in_flight_limit), n: 1 } : null;
  }
  const m = inflation(stats);
  return {
    a: r.model.batch_seconds * m, b: r.model.key_seconds * m, k: Math.max(1, b.in_flight_limit),
    n: Math.max(1, Math.min(r.policy.max_batch, b.max_batch || Infinity)),
  };
}

// capacityOf is rows a second with all slots taken by full batches: k·n/(a + b·n).
export const capacityOf = (m) => m.k * m.n / (m.a + m.b * m.n);

// timeAt is a typical response time at so many rows a second: the batches that a load
// makes of itself have n = λ·a/(k − λ·b) keys, and a request waits half of one and
// then its own. Beyond the capacity it is Infinity.
export function timeAt(m, rate) {
  if (rate >= capacityOf(m)) return Infinity;
  const n = Math.min(m.n, Math.max(1, rate * m.a / (m.k - rate * m.b)));
  const busy = Math.min(1, rate * (m.a + m.b * n) / n / m.k);
  return (m.a + m.b * n) * (1 + busy / 2);
}

// kneeOf is the load at which a typical request takes twice what it takes alone.
export function kneeOf(m) {
  let low = 0, high = capacityOf(m);
  for (let i = 0; i < 40; i++) {
    const mid = (low + high) / 2;
    if (timeAt(m, mid) > 2 * (m.a + m.b)) high = mid; else low = mid;
  }
  return low;
}

// loadOf is how much of the capacity is used, by all resources together. While
// requests are refused, what is answered is the capacity, whatever the model says.
export function loadOf(stats) {
  const rates = stats.rates;
  let load = 0, known = false, spare = Infinity;
  for (const name of Object.keys(stats.resources)) {
    const m = modelled(stats, name);
    if (!m) continue;
    known = true;
    load += rowsOf(stats, name) / capacityOf(m);
    spare = Math.min(spare, capacityOf(m));
  }
  const over = rates.offered_rps > 0 && rates.refused_rps > 0.01 * rates.offered_rps;
  if (over) return { load: Math.max(1, rates.offered_rps / Math.max(rates.throughput_rps, 1)), capacity: rates.throughput_rps, over, known: true };
  if (!known) return { load: 0, capacity: 0, over, known };
  return { load, capacity: load > 0 ? rates.rows_per_second / load : spare, over, known };
}

// lane is a lane's latencies at one stage, or zeros.
export function lane(stats, name, cls, stage) {
  return stats.resources[name]?.classes[cls]?.[stage + '_seconds'] ?? { samples: 0, p50: 0, p95: 0, p99: 0, unsure: [] };
}

// worstRegion is the region whose promise is broken most, or null.
export function missed(stats) {
  let worst = null;
  for (const [resource, r] of Object.entries(stats.resources)) {
    const regions = r.regions ?? { '': r };
    for (const [region, g] of Object.entries(regions)) {
      if (g.slo && !g.slo.kept && !(worst?.slo.burn_ratio > g.slo.burn_ratio)) worst = { resource, region, slo: g.slo };
    }
  }
  return worst;
}

// History is the last minutes, oldest first.
export class History {
  constructor() { this.clear(); }

  clear() { this.rows = []; }

  // push adds a tick; times are in seconds since 1970, gaps stay gaps.
  push(stats, at) {
    const last = this.rows.at(-1);
    if (last && at - last.t < 0.2) return; // ticks that were kept and come all at once
    if (last && at - last.t > 4) this.rows.push({ t: last.t + 1, gap: true });
    const waits = {};
    for (const name of Object.keys(stats.resources)) {
      const l = lane(stats, name, 'normal', 'response');
      waits[name] = l.samples ? [l.p50, l.p95, l.p99] : null;
    }
    this.rows.push({ t: at, rates: stats.rates, k: stats.backend.in_flight_limit, waits });
    while (this.rows.length && this.rows[0].t < at - kept) this.rows.shift();
  }

  column(f) { return this.rows.map((r) => r.gap ? null : f(r)); }
}
