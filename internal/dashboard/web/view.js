// Cards, tables and the timeline. Text is set only where it has changed.
import { advise, count, lasting, modeWhy, percent, time, tunerWords } from './advice.js';
import { lane, loadOf } from './figures.js';

export const $ = (id) => document.getElementById(id);

export function put(id, text) {
  const e = $(id);
  if (e.textContent !== text) e.textContent = text;
}

const mark = (e, name, value) => { if (e.dataset[name] !== value) e.dataset[name] = value; };

export function element(name, text, attributes = {}) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

// table fills a box with a table; a cell is a text or [text, tone]. It is made once
// and then only changed, so that a reader or a selection keeps its place.
export function table(box, caption, heads, rows) {
  const shape = heads.join('|') + rows.map((r) => r[0]).join('|');
  let body = box.querySelector('tbody');
  if (box.dataset.shape !== shape) {
    box.dataset.shape = shape;
    const t = element('table'), head = element('tr');
    t.append(element('caption', caption, { class: 'hidden' }));
    heads.forEach((h) => head.append(element('th', h, { scope: 'col' })));
    t.append(element('thead'), body = element('tbody'));
    t.tHead.append(head);
    for (const r of rows) {
      const row = element('tr');
      r.forEach((_, i) => row.append(i ? element('td') : element('th', undefined, { scope: 'row' })));
      body.append(row);
    }
    box.replaceChildren(t);
  }
  rows.forEach((r, i) => r.forEach((cell, j) => {
    const [text, tone] = Array.isArray(cell) ? cell : [cell, ''];
    const e = body.rows[i].cells[j];
    if (e.textContent !== text) e.textContent = text;
    if ((e.dataset.tone ?? '') !== tone) e.dataset.tone = tone;
  }));
}

const quantile = (l, q) => l.samples ? (l.unsure.includes(q) ? '~' : '') + time(l[q]) : '–';

// answers fills the four cards and returns what changed in words worth announcing.
export function answers(stats, resource) {
  const load = loadOf(stats), modes = stats.backend.modes, said = advise(stats, resource);
  const nothing = load.over && stats.rates.throughput_rps < 1; // then there is no capacity to speak of
  put('load', !load.known ? '–' : nothing ? 'no answers' : percent(load.load));
  const tone = load.over || load.load > 1 ? 'bad' : load.load > 0.8 ? 'warn' : 'good';
  mark($('gauge'), 'tone', tone);
  $('gauge').setAttribute('aria-valuenow', Math.round(Math.min(100, load.load * 100)));
  $('gauge').firstElementChild.style.width = Math.min(100, load.load * 100) + '%';
  put('load-sub', !load.known ? 'Nothing has been asked yet.' : nothing ? `${count(stats.rates.offered_rps)} requests a second are offered, and none is answered.` : load.over
    ? `${count(stats.rates.offered_rps)} requests a second are offered, ${count(stats.rates.throughput_rps)} answered: more than it can do.`
    : `${count(stats.rates.rows_per_second)} of at most about ${count(load.capacity)} rows a second, by the model.`);
  put('mode', modes.mode);
  put('circuit', `circuit ${modes.circuit}${modes.shed === 'none' ? '' : `, shedding ${modes.shed}`}`);
  mark($('circuit'), 'tone', modes.circuit === 'closed' ? (modes.shed === 'none' ? 'good' : 'warn') : 'bad');
  put('mode-why', modeWhy(modes));
  $('release').hidden = !(modes.override_ends_in_seconds > 0);
  const l = lane(stats, resource, 'normal', 'response');
  put('wait', quantile(l, 'p95'));
  put('wait-sub', l.samples ? `19 of 20 wait less than that, half of them less than ${quantile(l, 'p50')}, 1 in 100 more than ${quantile(l, 'p99')} (${resource}, normal lane, last ${l.window_seconds} s).`
    : 'Nobody has asked in the last ten seconds.');
  put('advice', said.text);
  mark($('advice-card'), 'tone', said.tone);
  put('about', `${stats.version} · up ${lasting(stats.uptime_seconds)}`);
  return `Mode ${modes.mode}, circuit ${modes.circuit}, shedding ${modes.shed}. ${said.tone === 'good' ? '' : said.text.split(':')[0] + '.'}`;
}

export function flow(stats, resource) {
  for (const name of ['offered', 'goodput', 'refused', 'throughput']) put(name, count(stats.rates[name + '_rps']));
  const l = lane(stats, resource, 'normal', 'response');
  for (const q of ['p50', 'p95', 'p99']) put(q, quantile(l, q));
  put('k', String(stats.backend.in_flight_limit));
  put('tuner', `${tunerWords(stats.backend)} ${stats.backend.reserved} more ${stats.backend.reserved === 1 ? 'slot is' : 'slots are'} kept for urgent requests.`);
}

const order = ['urgent', 'normal', 'bulk'];

export function lanes(stats, resource) {
  const rows = [];
  for (const cls of order) {
    for (const stage of ['queue', 'service', 'response']) {
      const l = lane(stats, resource, cls, stage);
      rows.push([`${cls}, ${stage}`, quantile(l, 'p50'), quantile(l, 'p95'), quantile(l, 'p99'), count(l.samples)]);
    }
  }
  table($('lanes'), 'Times by lane and stage', ['lane, stage', 'p50', 'p95', 'p99', 'samples'], rows);
}

export function sizes(stats, resource) {
  const sums = [];
  for (const c of Object.values(stats.resources[resource].classes)) c.batches_by_size.forEach((n, i) => { sums[i] = (sums[i] ?? 0) + n; });
  const all = sums.reduce((a, b) => a + b, 0);
  const label = (i) => i < 2 ? String(2 ** i) : `${2 ** (i - 1) + 1}–${2 ** i}`;
  table($('sizes'), 'Keys per batch', ['keys', 'batches', 'share'], sums.map((n, i) => [label(i), count(n), all ? percent(n / all) : '–']));
  const body = $('sizes').querySelector('tbody');
  sums.forEach((n, i) => { body.rows[i].cells[2].style.setProperty('--part', all ? Math.round(n / all * 100) + '%' : '0%'); });
}

export function regions(stats) {
  const rows = [];
  for (const [name, r] of Object.entries(stats.resources)) {
    const all = r.regions ?? (r.slo ? { default: r } : {});
    for (const [region, g] of Object.entries(all).sort()) {
      const l = g.classes.normal?.response_seconds ?? { samples: 0, unsure: [] };
      const slo = g.slo ? (g.slo.kept ? ['kept', 'good'] : ['missed', 'bad']) : '–';
      rows.push([`${region}, ${name}`, g.policy.mode, count(g.rates.throughput_rps), quantile(l, 'p50'), quantile(l, 'p99'), g.slo?.promise ?? 'none', slo, g.slo ? g.slo.burn_ratio.toFixed(2) : '–']);
    }
  }
  $('regions-card').hidden = rows.length === 0;
  table($('regions'), 'Regions', ['region, resource', 'policy', 'answered/s', 'p50', 'p99', 'promise', 'SLO', 'burn rate'], rows);
}

// asked remembers how often each copy had been asked, for the share of the last seconds.
let asked = new Map();

export function copies(stats) {
  const all = stats.backend.copies;
  $('copies-card').hidden = !all;
  if (!all) return;
  const before = asked, now = new Map(all.copies.map((c) => [c.name, c.calls_total]));
  asked = now;
  const lately = all.copies.map((c) => Math.max(0, c.calls_total - (before.get(c.name) ?? c.calls_total)));
  const sum = lately.reduce((a, b) => a + b, 0);
  const rows = all.copies.map((c, i) => [
    c.primary ? `${c.name} (primary)` : c.name, c.region || '–', c.state === 'ok' ? ['ok', 'good'] : [c.state, 'bad'], sum ? percent(lately[i] / sum) : '–',
    `${c.in_flight} of ${c.in_flight_limit}`, c.cost ? c.cost.toFixed(2) : '–', c.lag_seconds === undefined ? '–' : time(c.lag_seconds), count(c.behind_total), c.failures_total ? [count(c.failures_total), 'bad'] : '0',
  ]);
  put('copies-words', all.hedges_total ? `${count(all.hedges_total)} queries were sent once more because they were slow; ${count(all.hedges_won_total)} of these came back first.` : 'No query was sent twice.');
  table($('copies'), 'Copies of the database', ['copy', 'region', 'state', 'queries', 'in flight', 'cost', 'at most old', 'behind a write', 'failed'], rows);
}

export function resources(stats) {
  const rows = Object.entries(stats.resources).sort().map(([name, r]) => [
    name, r.cache && r.cache.hits + r.cache.misses ? percent(r.cache.hit_ratio) : '–', count(r.rates.throughput_rps), count(r.rates.refused_rps), r.mean_batch.toFixed(1), percent(r.saved_queries / Math.max(1, r.answered + r.failed)),
    String(r.queued), String(r.in_flight), r.failed ? [count(r.failed), 'bad'] : '0', `${time(r.model.batch_seconds)} + ${time(r.model.key_seconds)}·n`,
  ]);
  table($('resources'), 'Resources', ['resource', 'from cache', 'answered/s', 'refused/s', 'keys per batch', 'queries saved', 'queued', 'in flight', 'failed', 'a batch of n takes'], rows);
}

const span = 600; // seconds that the bands show at most

const toneOf = { balanced: 'good', closed: 'good', latency: 's1', throughput: 's5', degraded: 'bad', open: 'bad', 'half-open': 'warn' };

// bands shows mode and circuit over the last ten minutes.
export function bands(stats, events) {
  const now = Date.now() / 1000, shown = Math.min(span, stats.uptime_seconds), width = $('bands').clientWidth - 70;
  const lines = [['mode', stats.backend.modes.mode], ['circuit', stats.backend.modes.circuit]].map(([kind, current]) => {
    const line = element('div', undefined, { class: 'band' });
    line.append(element('span', kind));
    const track = element('div', undefined, { class: 'track' });
    const changes = events.filter((e) => e.kind === kind);
    let from = now - shown;
    const add = (until, what, tone) => {
      const part = element('i', (until - from) / shown * width > 80 ? what : '');
      part.style.flexGrow = Math.max(0, until - from);
      part.dataset.tone = tone;
      track.append(part);
      from = until;
    };
    for (const e of changes) {
      const at = Date.parse(e.time) / 1000;
      if (at > from) add(Math.min(at, now), e.from, toneOf[e.from] ?? 'none');
    }
    add(now, current, toneOf[current] ?? 'none');
    line.append(track);
    return line;
  });
  const scale = element('div', undefined, { class: 'band muted' });
  const ends = element('div', undefined, { class: 'ends' });
  ends.append(element('span', shown < span ? `the start, ${lasting(shown)} ago` : '10 minutes ago'), element('span', 'now'));
  scale.append(element('span', ''), ends);
  $('bands').replaceChildren(...lines, scale);
}

export function eventList(events) {
  const list = $('events');
  if (!events.length) {
    list.replaceChildren(element('li', 'Nothing has changed since the start.', { class: 'muted' }));
    return;
  }
  list.replaceChildren(...events.slice(-100).reverse().map((e) => {
    const item = element('li');
    item.append(element('time', new Date(e.time).toLocaleTimeString('en-GB'), { datetime: e.time }));
    const what = element('b', e.from || e.to ? `${e.kind} ${e.from} → ${e.to}` : e.kind);
    what.dataset.tone = toneOf[e.to] ?? '';
    item.append(what, element('span', e.reason || e.cause));
    return item;
  }));
}

// past fills the table behind a chart: the last minute, every five seconds.
export function past(box, caption, heads, history, cells) {
  const rows = history.rows.filter((r) => !r.gap).slice(-60).reverse().filter((_, i) => i % 5 === 0);
  table(box, caption, ['time', ...heads], rows.map((r) => [new Date(r.t * 1000).toLocaleTimeString('en-GB'), ...cells(r)]));
}
