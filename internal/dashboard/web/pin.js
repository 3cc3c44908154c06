// Actions: each is confirmed in a dialog, and sent as what no strange page can send.
import { $ } from './view.js';

async function act(method, body) {
  const answer = await fetch('/api/v1/mode', { method, headers: body ? { 'Content-Type': 'application/json' } : {}, body });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || problem.title || `The gateway answered ${answer.status}.`);
  }
  return answer.json();
}

// dialog opens one from a button and runs its action when it is confirmed.
function dialog(button, box, run, done) {
  const error = box.querySelector('.error'), form = box.querySelector('form');
  button.addEventListener('click', () => {
    error.textContent = '';
    box.showModal();
  });
  form.addEventListener('submit', async (e) => {
    if (e.submitter?.value !== 'ok') return;
    e.preventDefault();
    e.submitter.disabled = true;
    try {
      done(await run(new FormData(form)));
      box.close();
    } catch (problem) {
      error.textContent = `Nothing was changed: ${problem.message}`;
    }
    e.submitter.disabled = false;
  });
}

// actions wires the buttons; done is called with the modes that hold then.
export function actions(done) {
  dialog($('pin'), $('pin-dialog'), (f) => act('PUT', JSON.stringify({ mode: f.get('mode'), for: f.get('for') })), done);
  dialog($('release'), $('release-dialog'), () => act('DELETE'), done);
}
