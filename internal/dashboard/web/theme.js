// Before the first paint, or a dark page would flash white.
(() => {
  const kept = () => { try { return localStorage.getItem('fulcrum-theme') || 'auto'; } catch { return 'auto'; } };
  document.documentElement.dataset.theme = kept();
})();
