/**
 * Sets the theme before the first paint, so it is a classic script in the head. Without a choice of its own the page
 * follows the system; a choice that equals the system's is forgotten again.
 */
(() => {
  const KEY = 'sluice.theme';
  const system = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // Storage can be forbidden; then the choice lasts as long as the page.
    }
  };
  const store = (theme) => {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      // See above.
    }
  };
  const current = () => root.dataset.theme ?? (system.matches ? 'dark' : 'light');

  const label = () => {
    const next = current() === 'dark' ? 'light' : 'dark';
    for (const button of document.querySelectorAll('[data-theme-switch]')) {
      button.setAttribute('aria-label', `Use the ${next} theme`);
      button.dataset.tip = next === 'light' ? 'Light theme' : 'Dark theme';
      button.querySelector('use').setAttribute('href', `/assets/icons.svg#${next === 'light' ? 'sun' : 'moon'}`);
    }
  };

  const choice = stored();
  if (choice === 'dark' || choice === 'light') root.dataset.theme = choice;

  document.addEventListener('DOMContentLoaded', () => {
    label();
    for (const button of document.querySelectorAll('[data-theme-switch]')) {
      button.addEventListener('click', () => {
        const next = current() === 'dark' ? 'light' : 'dark';
        const follows = next === (system.matches ? 'dark' : 'light');
        if (follows) delete root.dataset.theme;
        else root.dataset.theme = next;
        store(follows ? null : next);
        label();
      });
    }
  });
  system.addEventListener('change', label);
})();
