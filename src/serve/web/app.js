/* app.js: puts the parts of the page together: views, panels, keys, the list of models, and whether
 * the server is there. */
import { $, announce, el, notice } from './ui.js';
import * as api from './api.js';
import { askForKey, byTouch, Chat } from './chat.js';
import { Engine } from './engine.js';
import { List } from './list.js';
import { Options } from './options.js';
import { setting, Store } from './store.js';

const store = new Store({
    problem: (text) => notice('storage', text, { bad: true }),
    changed: (id) => chat.changed(id),
});
const options = new Options($('fields'));
const chat = new Chat(store, options);
const list = new List(store, chat);
const engine = new Engine({ problem: (e) => serverProblem(e) });
const narrow = matchMedia('(max-width: 800px)');

chat.onchange = () => list.show(chat.talk.id);
chat.ongone = () => watchServer();

/* ---- views and panels ----------------------------------------------------------------------- */

function showView() {
    const isEngine = location.hash === '#engine';
    $('engine-view').hidden = !isEngine;
    $('chat-view').hidden = isEngine;
    $('list-toggle').hidden = isEngine;
    $('options-toggle').hidden = isEngine;
    $('skip').href = isEngine ? '#engine-title' : '#input';
    $('skip').textContent = isEngine ? 'Skip to the figures' : 'Skip to the message field';
    for (const [id, here] of [
        ['tab-chat', !isEngine],
        ['tab-engine', isEngine],
    ]) {
        if (here) $(id).setAttribute('aria-current', 'page');
        else $(id).removeAttribute('aria-current');
    }
    engine.show(isEngine);
}

/* On a narrow screen one panel lies over the conversation, which is then out of reach. */
function panel(id, open) {
    $(id).hidden = !open;
    $(`${id}-toggle`).setAttribute('aria-expanded', String(open));
    if (open && narrow.matches) panel(id === 'list' ? 'options' : 'list', false);
    $('main').inert = narrow.matches && (!$('list').hidden || !$('options').hidden);
    if (!open && document.activeElement === document.body) $(`${id}-toggle`).focus();
}

for (const id of ['list', 'options']) {
    $(`${id}-toggle`).addEventListener('click', () => {
        panel(id, $(id).hidden);
        if (!$(id).hidden) $(id).querySelector('button, input, textarea').focus();
    });
}
$('options-close').addEventListener('click', () => {
    panel('options', false);
    $('options-toggle').focus();
});
$('list').addEventListener('click', (event) => {
    if (narrow.matches && event.target.closest('.talk, #new')) panel('list', false);
});
narrow.addEventListener('change', () => panel('list', !narrow.matches));
$('new').addEventListener('click', () => {
    chat.openNew();
    if (narrow.matches) panel('list', false);
    $('input').focus();
});

/* Escape closes what lies on top; with nothing on top it stops the answer. */
addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]'))
        return;
    if (narrow.matches && !$('list').hidden) panel('list', false);
    else if (!$('options').hidden && $('options').contains(document.activeElement)) {
        panel('options', false);
        $('options-toggle').focus();
    } else if (chat.busy && !$('chat-view').hidden) {
        chat.stop();
        $('input').focus();
    }
});
$('skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address would otherwise leave the view
    const target = $($('skip').getAttribute('href').slice(1));
    if (target.tabIndex < 0) target.tabIndex = -1;
    target.focus();
});

/* ---- theme ---------------------------------------------------------------------------------- */

function nameTheme() {
    const names = { system: 'as the system', light: 'light', dark: 'dark' };
    const text = `Theme: ${names[window.vergeTheme.choice]}`;
    $('theme').setAttribute('aria-label', text);
    $('theme').title = text;
    return text;
}
$('theme').addEventListener('click', () => {
    window.vergeTheme.next();
    announce(nameTheme());
});

/* ---- the server ----------------------------------------------------------------------------- */

let watching = false;

/* Asks until the server is there again. */
async function watchServer() {
    if (watching) return;
    watching = true;
    for (let wait_s = 2; !(await api.isThere()); wait_s = Math.min(wait_s * 2, 15)) {
        notice(
            'server',
            'The server does not answer. What is on this page stays; trying to reach it again.',
            { bad: true },
        );
        await new Promise((resolve) => {
            setTimeout(resolve, wait_s * 1000);
            addEventListener('online', resolve, { once: true });
        });
    }
    watching = false;
    notice('server', '');
    engine.again();
    await showModels();
}

let keyAsked = false;

async function serverProblem(e) {
    if (e.kind === 'gone') watchServer();
    else if (e.kind === 'key' && !keyAsked) {
        keyAsked = true; // once without being told to; a message asks again
        if (await askForKey(e.message)) {
            keyAsked = false;
            engine.again();
            await showModels();
        }
    } else if (e.kind !== 'key' && e.kind !== 'stopped') notice('server', e.message, { bad: true });
}

async function showModels() {
    try {
        const names = await api.models();
        const chosen = $('model').value || setting('verge-model');
        $('model').replaceChildren(...names.map((n) => el('option', { value: n }, n)));
        $('model').disabled = !names.length;
        if (!names.length) $('model').append(el('option', { value: '' }, 'No model'));
        if (names.includes(chosen)) $('model').value = chosen;
        if (!watching) notice('server', '');
    } catch (e) {
        if (e instanceof api.Problem) serverProblem(e);
        else throw e;
    }
}

$('model').addEventListener('change', () => setting('verge-model', $('model').value));
addEventListener('offline', () => watchServer());
/* Models come and go while the page is open. */
document.addEventListener('visibilitychange', () => !document.hidden && showModels());

/* ---- begin ---------------------------------------------------------------------------------- */

addEventListener('hashchange', showView);
nameTheme();
panel('options', false);
panel('list', !narrow.matches);
showView();
const last = setting('verge-open');
if (last) await chat.open(last);
else chat.openNew();
if (byTouch()) {
    $('hint').textContent = '';
    document.activeElement.blur(); // a screen keyboard would cover half of the page
} else $('input').focus();
await showModels();
