// The stream of statistics: it reconnects by itself and says when it is cut off.
// It is one connection for a page, because browsers allow six to a server.

const quiet = 3500; // ms without a tick: then it counts as cut off
const slowest = 5000; // ms between two attempts

// follow calls onStats for each tick and onState with 'live' or 'cut' and since when.
export function follow(onStats, onState) {
  let source, timer, last = Date.now(), wait = 250, cut = 0;
  const lost = () => {
    if (!cut) cut = last;
    onState('cut', cut);
  };
  const retry = () => {
    source?.close();
    source = null;
    lost();
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, slowest);
  };
  function connect() {
    const s = new EventSource('/api/v1/stats/stream');
    source = s;
    s.onerror = () => { if (source === s) retry(); };
    s.addEventListener('stats', (e) => {
      last = Date.now();
      wait = 250;
      cut = 0;
      onState('live', last);
      onStats(JSON.parse(e.data));
    });
  }
  connect();
  setInterval(() => {
    if (Date.now() - last < quiet) return;
    lost();
    // A connection that hangs gives no error: it is made anew.
    if (source && Date.now() - last > 3 * quiet) { last = Date.now(); retry(); }
  }, 1000);
}
