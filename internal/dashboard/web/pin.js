// Actions: each is confirmed in a dialog, and sent as what no strange page can send.
import { $, element, put } from './view.js';

let token = ''; // for as long as the page is open

async function act(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = 'Bearer ' + token;
  const answer = await fetch(path, { method, headers, body });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    const error = new Error(problem.detail || problem.title || `The gateway answered ${answer.status}.`);
    error.token = answer.status === 401 || answer.status === 403;
    throw error;
  }
  return answer.status === 204 ? null : answer.json();
}

// dialog runs its action when it is confirmed. It asks for a token where one is needed.
// The result opens it.
function dialog(box, run, done) {
  const error = box.querySelector('.error'), form = box.querySelector('form');
  const field = element('input', undefined, { type: 'password', autocomplete: 'off' }), label = element('label', 'Token ');
  label.append(field);
  label.hidden = true;
  error.before(label);
  form.addEventListener('submit', async (e) => {
    if (e.submitter?.value !== 'ok') return;
    e.preventDefault();
    e.submitter.disabled = true;
    if (field.value) token = field.value;
    try {
      done(await run(new FormData(form)));
      box.close();
    } catch (problem) {
      error.textContent = `Nothing was changed: ${problem.message}`;
      if (problem.token) {
        token = '';
        label.hidden = false;
        field.focus();
      }
    }
    field.value = '';
    e.submitter.disabled = false;
  });
  return () => {
    error.textContent = '';
    box.showModal();
  };
}

// actions wires the buttons; done is called with the modes that hold then.
export function actions(done) {
  const mode = '/api/v1/mode';
  $('pin').addEventListener('click', dialog($('pin-dialog'), (f) => act('PUT', mode, JSON.stringify({ mode: f.get('mode'), for: f.get('for') })), done));
  $('release').addEventListener('click', dialog($('release-dialog'), () => act('DELETE', mode), done));
}

// settling makes what asks before a dead letter is replayed or discarded; done is called
// when it is gone.
export function settling(done) {
  let letter, how;
  const open = dialog($('letter-dialog'), () => act(how === 'Replay' ? 'POST' : 'DELETE', `/api/v1/deadletters/${letter.id}`), done);
  return (what, which) => {
    [how, letter] = [what, which];
    put('letter-h', `${how} dead letter ${letter.id}`);
    put('letter-what', how === 'Replay'
      ? `The ${letter.op} of ${letter.resource} ${letter.key} is made after all, and the letter taken away. If it fails again, it stays.`
      : `The ${letter.op} of ${letter.resource} ${letter.key} is given up for good.`);
    put('letter-ok', how + ' it');
    open();
  };
}
