// What ties the page together: ticks come in, the page is drawn at most once a tick.
import { follow } from './live.js';
import { History, busiest, modelled } from './figures.js';
import { count, lasting, time } from './advice.js';
import { Charts } from './charts.js';
import { actions } from './pin.js';
import { panels } from './panels.js';
import * as view from './view.js';

const { $, put } = view;
const history = new History(), charts = new Charts();
let stats, events = [], chosen = null, uptime = 0, known = '', announced = '', due = false;

const resource = () => chosen && stats.resources[chosen] ? chosen : busiest(stats);

function draw() {
  due = false;
  if (!stats || document.hidden) return;
  const name = resource();
  announce(view.answers(stats, name));
  choices(name);
  view.flow(stats, name);
  view.lanes(stats, name);
  view.sizes(stats, name);
  view.copies(stats);
  view.regions(stats);
  view.resources(stats);
  view.bands(stats, events);
  charts.update(history, name, modelled(stats, name));
  put('curve-words', charts.words());
  tables(name);
  document.documentElement.dataset.tick = String(stats.uptime_seconds);
}

function soon() {
  if (due) return;
  due = true;
  requestAnimationFrame(draw);
}

// announce tells screen readers what changed, not what ticked.
function announce(text) {
  if (text === announced) return;
  announced = text;
  put('announce', text);
}

function choices(name) {
  const select = $('resource'), names = Object.keys(stats.resources).sort();
  if (select.options.length !== names.length || names.some((n, i) => select.options[i].value !== n)) {
    select.replaceChildren(...names.map((n) => new Option(n, n)));
  }
  if (select.value !== name && document.activeElement !== select) select.value = name;
}

function tables(name) {
  for (const d of document.querySelectorAll('details[data-table]')) {
    if (!d.open) continue;
    const box = d.querySelector('.scroll');
    if (d.dataset.table === 'flow') {
      view.past(box, 'Requests a second', ['offered', 'goodput', 'refused'], history, (r) => [r.rates.offered_rps, r.rates.goodput_rps, r.rates.refused_rps].map(count));
    } else {
      view.past(box, 'Response time', ['p50', 'p95', 'p99'], history, (r) => (r.waits[name] ?? [null, null, null]).map((v) => v === null ? '–' : time(v)));
    }
  }
}

// Events are fetched when the counters say that there are new ones.
async function refresh(key) {
  try {
    const answer = await fetch('/api/v1/events');
    if (!answer.ok) return;
    events = (await answer.json()).events;
    known = key;
    view.eventList(events);
    soon();
  } catch {
    // the stream will say that the gateway is away
  }
}

function onStats(s) {
  if (s.uptime_seconds < uptime) { // another process: its counters began anew
    known = '';
  }
  uptime = s.uptime_seconds;
  stats = s;
  offer(s.offers ?? []);
  history.push(s, Date.now() / 1000);
  const m = s.backend.modes, key = JSON.stringify([Object.entries(m.changes_total).sort(), s.configuration]);
  if (key !== known) refresh(key);
  soon();
}

function onState(state, since) {
  const pill = $('connection');
  const text = state === 'live' ? 'live' : `cut off for ${lasting((Date.now() - since) / 1000)}, reconnecting`;
  if (pill.dataset.state !== state) {
    pill.dataset.state = document.body.dataset.state = state;
    announce(state === 'live' ? 'Live again.' : 'The connection is cut off. The figures are old.');
  }
  if (pill.textContent !== text) pill.textContent = text;
}

function theme() {
  const select = $('theme'), root = document.documentElement;
  select.value = root.dataset.theme;
  select.addEventListener('change', () => {
    root.dataset.theme = select.value;
    try { localStorage.setItem('fulcrum-theme', select.value); } catch { /* it holds until the page is closed */ }
    charts.redraw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.redraw());
}

theme();
const offer = panels();
actions((modes) => { stats.backend.modes = modes; soon(); });
$('resource').addEventListener('change', (e) => { chosen = e.target.value; soon(); });
document.addEventListener('visibilitychange', soon);
document.querySelectorAll('details').forEach((d) => d.addEventListener('toggle', soon));
follow(onStats, onState);
