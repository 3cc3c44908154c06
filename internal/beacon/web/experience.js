// fulcrum.js: what people feel, told to /v1/experience when they leave the page.
// scripts/fulcrum-js.sh bundles it with web-vitals into fulcrum.js.
import { onCLS, onFCP, onINP, onLCP, onTTFB } from 'web-vitals';

const script = document.currentScript, set = script.dataset;
const url = new URL('/v1/experience', script.src).href;
const id = () => crypto.randomUUID?.() ?? '00000000-0000-4000-8000-000000000000'.replace(/0/g, () => (Math.random() * 16 | 0).toString(16));
const chosen = Math.random() < Number(set.sample ?? 1); // once a page: all of it or nothing
let allowed = set.consent !== 'wait', changed = false, said = '';

// No address, no query, no text of the page: data-page names it where a path would tell too much.
const tell = {
  view: id(), session: '', page: set.page ?? location.pathname.slice(0, 200), region: set.region ?? '',
  device: matchMedia('(pointer: coarse)').matches ? 'touch' : 'desktop', vitals: {}, abandoned: false,
};

for (const on of [onTTFB, onFCP, onLCP, onINP, onCLS]) {
  on((m) => { tell.vitals[m.name] = m.name === 'CLS' ? m.value : m.value / 1e3; changed = true; }, { reportAllChanges: true });
}

// The session is the tab's; nothing is kept on the device before there is consent.
function session() {
  try {
    return sessionStorage.fulcrum ??= id();
  } catch {
    return tell.view;
  }
}

// slowest is what our Server-Timing says of the slowest answer, so that a slow page
// leads to its lane, batch and mode.
function slowest() {
  let worst = null;
  for (const kind of ['navigation', 'resource']) {
    for (const e of performance.getEntriesByType(kind)) {
      const of = (name) => e.serverTiming?.find((s) => s.name === name);
      if (of('lane') && !(worst?.seconds > e.duration / 1e3)) {
        worst = {
          lane: of('lane').description, mode: of('mode')?.description ?? '', batch: Number(of('batch')?.description.slice(2)) || 0, // n=37
          seconds: e.duration / 1e3, queue: (of('queue')?.duration ?? 0) / 1e3, service: (of('db')?.duration ?? 0) / 1e3,
        };
      }
    }
  }
  return worst;
}

function send() {
  if (!chosen || !allowed || !changed) return;
  const nav = performance.getEntriesByType('navigation')[0];
  tell.session = session();
  tell.abandoned = !(nav?.domContentLoadedEventEnd > 0);
  tell.wait = tell.vitals.LCP ?? tell.vitals.FCP ?? performance.now() / 1e3;
  tell.answer = slowest() ?? undefined;
  const text = JSON.stringify(tell);
  if (text === said) return;
  said = text;
  changed = false;
  navigator.sendBeacon(url, JSON.stringify({ id: id(), ...tell }));
}

addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') send(); });
addEventListener('pagehide', send);

window.fulcrum = {
  // rate says how satisfied somebody is, 1 to 5.
  rate(n) { tell.satisfaction = n; changed = true; },
  // convert says that somebody did what the page is for, and what it was worth.
  convert(name, value = 0) { tell.conversion = { name, value }; changed = true; },
  // consent switches: false forgets the session and sends nothing more.
  consent(yes) {
    allowed = yes;
    if (!yes) try { delete sessionStorage.fulcrum; } catch { /* there is none */ }
  },
};
