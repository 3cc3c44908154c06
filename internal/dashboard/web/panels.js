// Panels of what is asked seldom: what people feel, what their use advises, and changes
// that could not be made. Each hides while there is nothing to show.
import { count, percent, time } from './advice.js';
import { settling } from './pin.js';
import { $, element, put, table } from './view.js';

const often = 5000; // ms

// ask gets JSON, null where there is none.
async function ask(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the stream says that the gateway is away
  }
}

const toneOf = { good: 'good', 'needs improvement': 'warn', poor: 'bad' };

const vital = (name, v) => v ? [name === 'CLS' ? v.p75.toFixed(2) : time(v.p75), toneOf[v.rating] ?? ''] : '–';

const share = (s) => s.of ? `${percent(s.value)} [${percent(s.low)}, ${percent(s.high)}]` : '–';

function feelings(e) {
  $('people-card').hidden = !e?.all;
  if (!e?.all) return;
  const names = ['TTFB', 'FCP', 'LCP', 'INP', 'CLS'];
  const rows = [e.all, ...(e.parts ?? [])].map((p) => [
    p.dimension ? `${p.dimension} ${p.value}` : 'everybody', count(p.visits), p.apdex.toFixed(2), ...names.map((n) => vital(n, p.vitals[n])),
  ]);
  table($('people'), 'What people feel', ['who', 'visits', 'Apdex', ...names], rows);
  table($('buckets'), 'Conversions by waiting', ['waited', 'converted', 'satisfied'], (e.buckets ?? []).map((b) => [
    `${time(b.from_seconds)} to ${time(b.to_seconds)}`, share(b.conversions), share(b.satisfaction),
  ]));
  const c = e.conversions, refused = Object.values(e.beacons.refused_total).reduce((a, b) => a + b, 0);
  put('people-words', `${c?.cost ? `Conversions: ${c.cost}. This goes with waiting, it need not come of it.` : 'Too few conversions to say what waiting costs.'}`
    + ` ${count(refused)} of ${count(refused + e.beacons.accepted_total)} beacons were refused.`);
}

function usage(u) {
  $('usage-card').hidden = !u;
  if (!u) return;
  const list = u.advice ?? [];
  put('usage-words', list.length
    ? `${count(u.requests)} requests, at most ${count(u.peak.rps_1s)} in a second. Settings that their pattern asks for, with what the simulator predicts:`
    : `${count(u.requests)} requests, at most ${count(u.peak.rps_1s)} in a second. No setting would help: keep it as it is.`);
  $('usage').hidden = !list.length;
  table($('usage'), 'Advised settings', ['setting', 'value', 'gain', 'because'], list.map((a) => [a.setting, a.value, a.predicted_gain, a.evidence]));
}

let settle;

function letters(found) {
  const all = found?.dead_letters ?? [];
  $('letters-card').hidden = !all.length;
  put('letters-words', `${count(all.length)}${all.length >= 1000 ? ' or more' : ''} changes were acknowledged and could not be made. Look why, then replay or discard each.`);
  const body = element('tbody');
  for (const letter of all.slice(0, 50)) {
    const row = element('tr'), acts = element('td');
    row.append(element('th', String(letter.id), { scope: 'row' }), element('td', new Date(letter.time).toLocaleString('en-GB')),
      element('td', `${letter.op} ${letter.resource} ${letter.key}`), element('td', letter.error), acts);
    for (const how of ['Replay', 'Discard']) {
      const button = element('button', how + ' …', { type: 'button', 'aria-label': `${how} dead letter ${letter.id} …` });
      button.addEventListener('click', () => settle(how, letter));
      acts.append(button, ' ');
    }
    body.append(row);
  }
  const now = JSON.stringify(all.slice(0, 50).map((l) => l.id)), box = $('letters');
  if (box.dataset.shape === now) return; // a button that has the focus keeps it
  box.dataset.shape = now;
  const t = element('table'), head = element('tr');
  for (const h of ['id', 'since', 'change', 'error', 'settle']) head.append(element('th', h, { scope: 'col' }));
  t.append(element('caption', 'Dead letters', { class: 'hidden' }), element('thead'), body);
  t.tHead.append(head);
  box.replaceChildren(t);
}

// refresh asks for all of them; they are few and small.
async function refresh() {
  if (document.hidden) return;
  const [felt, used, dead] = await Promise.all(['/api/v1/experience', '/api/v1/usage', '/api/v1/deadletters'].map((p) => offers(p) ? ask(p) : null));
  feelings(felt);
  usage(used);
  letters(dead);
}

let offered = [];

const offers = (path) => offered.includes(path);

// panels begins. What the gateway does not offer is not asked for.
export function panels() {
  settle = settling(refresh);
  setInterval(refresh, often);
  return (paths) => {
    if (String(paths) === String(offered)) return;
    offered = paths;
    refresh();
  };
}
