// What the figures mean, in sentences. Nothing here touches the page.
import { busiest, inflation, lane, loadOf, missed } from './figures.js';

export function count(n) {
  if (n >= 1e6) return Number((n / 1e6).toPrecision(3)) + ' M';
  if (n >= 1e5) return Math.round(n / 1e3) + ' k';
  if (n >= 10 || Number.isInteger(n)) return Math.round(n).toLocaleString('en');
  return n.toPrecision(2);
}

// time is a duration in words; s is in seconds.
export function time(s) {
  if (s === 0) return '0 ms';
  const of = (v, unit) => (v >= 100 ? Math.round(v) : v >= 10 ? v.toFixed(1) : v.toFixed(2)).toString().replace(/\.0+$/, '') + ' ' + unit;
  if (s < 0.0000995) return of(s * 1e6, 'µs');
  return s < 1 ? of(s * 1e3, 'ms') : of(s, 's');
}

// lasting is how long something holds, roughly.
export function lasting(s) {
  if (s < 90) return Math.ceil(s) + ' s';
  if (s < 5400) return Math.round(s / 60) + ' min';
  if (s < 129600) return (s / 3600).toFixed(1).replace(/\.0$/, '') + ' h';
  return Math.round(s / 86400) + ' days';
}

export function percent(share) {
  const p = share * 100;
  if (p > 0 && p < 0.1) return '< 0.1 %';
  return (p < 10 ? p.toFixed(1).replace(/\.0$/, '') : Math.round(p)) + ' %';
}

const why = {
  started: 'nothing has asked for another one since the start',
  override: 'set by hand',
};

// modeWhy says why the mode holds.
export function modeWhy(modes) {
  if (modes.override_ends_in_seconds > 0) return `Pinned by hand for another ${lasting(modes.override_ends_in_seconds)}.`;
  const reason = modes.reason || why[modes.cause] || modes.cause;
  return reason.charAt(0).toUpperCase() + reason.slice(1) + `. It has held for ${lasting(modes.for_seconds)}.`;
}

// tunerWords says what the tuner's last decision was.
export function tunerWords(backend) {
  const k = backend.in_flight_limit, name = backend.decision.split(':')[0];
  const m = inflation({ backend });
  const slow = m > 1.02 ? `batches take ${percent(m - 1)} longer than they would alone` : 'batches take no longer than they would alone';
  const words = {
    start: `It starts with K = ${k} and learns.`, learn: `It learns what a batch costs before it changes K = ${k}.`,
    hold: `It keeps K = ${k}: ${slow}.`, double: `It doubled K to ${k}: the database has room, ${slow}.`,
    grow: `It raised K to ${k}: the database has room, ${slow}.`, try: `It tries K = ${k}, to see whether that pays.`,
    back: `It went back to K = ${k}: more did not pay.`, shrink: `It lowered K to ${k}: ${slow}.`,
    rebase: `The database itself has another speed now: it measures anew, with K = ${k}.`,
    reset: `It begins anew with K = ${k}.`, 'smaller batch': `It made batches smaller, at most ${backend.max_batch} keys.`,
    'larger batch': `It let batches grow to at most ${backend.max_batch} keys.`,
  };
  return words[name] ?? `K = ${k} is fixed: nothing tunes it.`;
}

// rules, in the order in which they matter: the first that has something to say wins.
// Each gives [how urgent, sentence] or nothing.
const rules = [
  ({ modes }) => modes.circuit !== 'closed' && ['bad', modes.circuit === 'open'
    ? `Look at the database: it does not answer, so requests are refused at once. ${modes.retry_in_seconds > 0 ? `Fulcrum tries it again in ${lasting(modes.retry_in_seconds)}.` : 'Fulcrum tries it again by itself.'}`
    : 'Wait a moment: the database was away, and a few probes show whether it is back.'],
  ({ stats }) => stats.draining && ['warn', 'Nothing: this gateway is shutting down and takes on no more requests.'],
  ({ stats, rates, load }) => load.over && ['bad',
    `Less load, or more database: ${percent(rates.refused_rps / rates.offered_rps)} of the requests are refused${refusedWhy(stats)}. It answers ${count(rates.throughput_rps)} a second of ${count(rates.offered_rps)}.`],
  ({ rates }) => rates.throughput_rps > rates.goodput_rps * 1.01 && ['bad',
    `Look at the log: ${percent(1 - rates.goodput_rps / rates.throughput_rps)} of the answers are failures or came too late.`],
  ({ broken, modes }) => broken && ['bad',
    `${broken.region ? `Region ${broken.region}` : `Resource ${broken.resource}`} misses its promise ${broken.slo.promise}: it is ${time(broken.slo.seconds)} now. ${modes.mode === 'latency' ? 'Give the database more room.' : 'Pinning latency mode may help; more room in the database will.'}`],
  ({ load }) => load.load > 0.8 && ['warn', `Make room soon: ${percent(load.load)} of the capacity is used, and waiting times rise steeply from here.`],
  ({ modes }) => modes.override_ends_in_seconds > 0 && ['warn',
    `Release the mode when you are done: ${modes.mode} is pinned for another ${lasting(modes.override_ends_in_seconds)}, and Fulcrum does not choose meanwhile.`],
  ({ rates, load }) => rates.offered_rps === 0 && ['good', load.known ? 'Nothing to do: nobody asks for anything.' : 'Send it some requests: nothing has been asked yet, so nothing has been learnt.'],
  ({ wait, queue, load }) => wait.samples >= 1000 && wait.p99 > 0.1 && wait.p99 > 20 * wait.p50 && ['warn',
    `Look for bursts${queue.p99 > wait.p99 / 2 ? '' : ' and slow queries'}: one request in a hundred waits over ${time(wait.p99)}, ${queue.p99 > wait.p99 / 2 ? 'most of it for a slot' : 'most of it in the database'}, at ${percent(load.load)} of capacity.`],
  ({ load }) => load.load > 0.5 && ['good', `Nothing yet: ${percent(load.load)} of capacity. Plan for more before it doubles.`],
  ({ load }) => ['good', `Nothing to do: ${percent(load.load)} of capacity.`],
];

// refusedWhy names the commonest reason for refusing, since the start.
function refusedWhy(stats) {
  const sums = {};
  for (const r of Object.values(stats.resources)) {
    for (const [lane, c] of Object.entries(r.classes)) {
      for (const [reason, n] of Object.entries(c.refused_by_reason)) {
        const name = `${reason.replaceAll('_', ' ')}, ${lane} lane`;
        sums[name] = (sums[name] ?? 0) + n;
      }
    }
  }
  const most = Object.entries(sums).sort((a, b) => b[1] - a[1])[0];
  return most ? ` (mostly: ${most[0]})` : '';
}

// advise is what would help: how urgent it is, and a sentence.
export function advise(stats, resource) {
  const name = resource ?? busiest(stats);
  const all = {
    stats, rates: stats.rates, modes: stats.backend.modes, load: loadOf(stats), broken: missed(stats),
    wait: lane(stats, name, 'normal', 'response'), queue: lane(stats, name, 'normal', 'queue'),
  };
  for (const rule of rules) {
    const said = rule(all);
    if (said) return { tone: said[0], text: said[1] };
  }
  return { tone: 'good', text: '' };
}
