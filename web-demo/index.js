/** The landing page. */
import { STREAM_NAME, byId, remember, setText, wireCopyButtons } from './ui.js';

const KEY = 'sluice.stream';
const input = byId('stream');
const hint = byId('hint');

function show() {
  // What people type instead of a hyphen.
  const tidy = input.value.replace(/\s/g, '-');
  if (tidy !== input.value) input.value = tidy;
  const wrong = tidy !== '' && !STREAM_NAME.test(tidy);
  input.setAttribute('aria-invalid', String(wrong));
  hint.classList.toggle('bad', wrong);
  setText(hint, wrong ? 'Use letters A to Z, digits and - _ . ~ only.' : '');
  const name = tidy === '' || wrong ? 'name' : tidy;
  byId('whip').value = `${location.origin}/whip/${name}`;
  byId('whep').value = `${location.origin}/whep/${name}`;
}

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = input.value;
  if (!STREAM_NAME.test(name)) {
    if (name === '') {
      input.setAttribute('aria-invalid', 'true');
      hint.classList.add('bad');
      setText(hint, 'Type a name first.');
    }
    input.focus();
    return;
  }
  remember.set('localStorage', KEY, name);
  location.href = `/${event.submitter?.value ?? 'room'}/${name}`;
});

input.addEventListener('input', show);
input.value = remember.get('localStorage', KEY) ?? 'demo';
wireCopyButtons();
show();

// Metrics can live at an address of their own; then there is nothing here to link to.
fetch('/metrics', { method: 'HEAD' }).then((response) => (byId('metrics').hidden = !response.ok), () => {});
