/* chat.js: the conversation that is shown, and the answers that are being written, at most one in
 * each conversation. An answer goes on while another conversation is looked at. It is stored as it
 * grows, so a page that is closed, or a server that goes away, costs no more than what never came. */
import { $, announce, ask, notice } from './ui.js';
import * as api from './api.js';
import { MessageView } from './message.js';
import { add, newTalk, path, request, turnTo, versions } from './talk.js';
import { setting } from './store.js';

const MAX_TRIES = 6; // of an answer that a busy server puts off
const STORE_MS = 2000;

const sleep = (ms, signal) =>
    new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener(
            'abort',
            () => {
                clearTimeout(timer);
                resolve();
            },
            { once: true },
        );
    });

/* A conversation without messages has no name yet that would survive the page. */
const draftName = (talk) => (talk.nodes.length ? talk.id : 'new');

/* On a phone the focus in the field brings up the keyboard, which covers half of the page. */
export const byTouch = () => matchMedia('(hover: none) and (pointer: coarse)').matches;

function toInput() {
    if (!byTouch()) $('input').focus();
}

/* What a message looks like stays as long as the message does: only its buttons may differ. */
function viewOf(old, node, actions) {
    if (!old || old.node !== node) return new MessageView(node, actions);
    old.refresh();
    return old;
}

export class Chat {
    #store;
    #options;
    #talk = newTalk();
    #views = new Map(); // node id -> MessageView, of what is shown
    #runs = new Map(); // conversation id -> { talk, node, controller }
    #follow = true; // the newest text is kept in sight

    onchange = () => {}; // the list of conversations looks different now

    constructor(store, options) {
        this.#store = store;
        this.#options = options;
        $('composer').addEventListener('submit', (event) => {
            event.preventDefault();
            if (this.busy) {
                this.stop();
                toInput();
            } else this.#send();
        });
        $('input').addEventListener('input', () => this.#typed());
        $('input').addEventListener('keydown', (event) => this.#key(event));
        $('scroll').addEventListener('scroll', () => this.#scrolled(), { passive: true });
        $('newest').addEventListener('click', () => this.#toEnd());
        addEventListener('pagehide', () => this.#storeAll());
        document.addEventListener('visibilitychange', () => document.hidden && this.#storeAll());
    }

    get talk() {
        return this.#talk;
    }

    get busy() {
        return this.#runs.has(this.#talk.id);
    }

    /* ---- conversations ------------------------------------------------------------------- */

    /* The conversation as it is now, also while an answer is being written. */
    async get(id) {
        if (id === this.#talk.id) return this.#talk;
        return this.#runs.get(id)?.talk || this.#repair(await this.#store.get(id));
    }

    /* What was being written when the page closed is cut. */
    #repair(talk) {
        for (const n of talk?.nodes || [])
            if (n.state === 'writing') {
                n.state = n.content || n.reasoning ? 'cut' : 'failed';
                n.problem = { kind: 'closed', text: 'The page was closed while it was written.' };
            }
        return talk;
    }

    async open(id) {
        const talk = await this.get(id);
        if (!talk) return this.openNew();
        this.#show(talk);
        return undefined;
    }

    openNew() {
        this.#show(newTalk());
        $('input').focus();
    }

    #show(talk) {
        this.#talk = talk;
        setting('verge-open', talk.id);
        $('input').value = setting('verge-drafts')?.[draftName(talk)] || '';
        this.#draw();
        this.#toEnd();
        this.#typed();
        this.onchange();
    }

    renamed(talk) {
        if (talk.id === this.#talk.id) this.#head();
        this.onchange();
    }

    async remove(id) {
        this.#runs.get(id)?.controller.abort();
        await this.#store.remove(id);
        const drafts = setting('verge-drafts') || {};
        delete drafts[id];
        setting('verge-drafts', drafts);
        if (id === this.#talk.id) this.openNew();
        else this.onchange();
    }

    /* Another window changed it. */
    async changed(id) {
        if (id === this.#talk.id && !this.busy) {
            const talk = await this.#store.get(id);
            const is_whole = !talk?.nodes.some((n) => n.state === 'writing');
            if (talk && is_whole && !this.busy && id === this.#talk.id) {
                this.#talk = talk;
                this.#draw();
            }
        }
        this.onchange();
    }

    #storeAll() {
        for (const run of this.#runs.values()) this.#store.put(run.talk);
    }

    /* ---- what is shown ------------------------------------------------------------------- */

    #head() {
        $('title').textContent = this.#talk.title || 'New conversation';
        document.title = this.#talk.title ? `${this.#talk.title} – Verge` : 'Verge';
    }

    #draw() {
        const nodes = path(this.#talk);
        const actions = {
            versions: (node) => versions(this.#talk, node),
            isLast: (node) => node.id === this.#talk.leaf,
            turn: (node) => this.#turn(node),
            edit: (node, text) => this.#edit(node, text),
            again: (node) => this.#again(node),
        };
        const old = this.#views;
        this.#views = new Map(nodes.map((n) => [n.id, viewOf(old.get(n.id), n, actions)]));
        for (const view of this.#views.values()) view.ondrawn = () => this.#follow && this.#toEnd();
        $('messages').replaceChildren(...Array.from(this.#views.values(), (v) => v.element));
        $('hello').hidden = nodes.length > 0;
        this.#head();
        this.#button();
    }

    #button() {
        $('send').textContent = this.busy ? 'Stop' : 'Send';
        $('send').classList.toggle('stop', this.busy);
        $('send').disabled = !this.busy && !$('input').value.trim();
    }

    #scrolled() {
        const s = $('scroll');
        this.#follow = s.scrollHeight - s.scrollTop - s.clientHeight < 40;
        $('newest').hidden = this.#follow;
    }

    #toEnd() {
        $('scroll').scrollTop = $('scroll').scrollHeight;
        this.#follow = true;
        $('newest').hidden = true;
    }

    /* ---- the field ----------------------------------------------------------------------- */

    #typed() {
        const input = $('input');
        input.style.height = 'auto';
        input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight * 0.4)}px`;
        const drafts = setting('verge-drafts') || {};
        if (input.value) drafts[draftName(this.#talk)] = input.value;
        else delete drafts[draftName(this.#talk)];
        setting('verge-drafts', drafts);
        this.#button();
    }

    /* On a screen keyboard Enter starts a line: there is no Shift+Enter on it. */
    #key(event) {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing || byTouch()) return;
        event.preventDefault();
        if (this.busy) announce('An answer is being written. Escape stops it.');
        else this.#send();
    }

    /* ---- asking -------------------------------------------------------------------------- */

    /* False where it cannot be asked now, which the person is told. */
    #ready() {
        const wrong = this.#options.wrong();
        if (wrong)
            notice('options', `The option “${wrong}” has a value that cannot be.`, { bad: true });
        else notice('options', '');
        return !wrong && !this.busy;
    }

    #send() {
        const text = $('input').value.trim();
        if (!text || !this.#ready()) return;
        $('input').value = '';
        this.#typed();
        this.#answer(add(this.#talk, this.#talk.leaf, 'user', { content: text }).id);
    }

    #edit(node, text) {
        if (!this.#ready()) return false;
        this.#answer(add(this.#talk, node.parent, 'user', { content: text }).id);
        toInput();
        return true;
    }

    #again(node) {
        if (!this.#ready()) return;
        // One that failed holds nothing.
        if (node.state === 'failed') this.#talk.nodes = this.#talk.nodes.filter((n) => n !== node);
        this.#answer(node.parent);
        toInput();
    }

    #turn(node) {
        if (this.busy) return;
        turnTo(this.#talk, node);
        this.#store.put(this.#talk);
        this.#draw();
        this.#views.get(node.id)?.element.querySelector('.versions button:enabled')?.focus();
    }

    stop() {
        this.#runs.get(this.#talk.id)?.controller.abort();
    }

    /* Writes an answer below the message `parent`, which is the person's. */
    async #answer(parent) {
        const talk = this.#talk;
        const { system, fields } = this.#options.read();
        const model = $('model').value;
        const messages = request(talk, parent, system);
        const node = add(talk, parent, 'assistant', { state: 'writing', model, stats: {} });
        const run = { talk, node, controller: new AbortController() };
        this.#runs.set(talk.id, run);
        this.#draw();
        this.#toEnd();
        this.#store.put(talk).then(() => this.onchange());
        announce('The answer is being written.');
        const storing = setInterval(() => this.#store.put(talk), STORE_MS);
        const problem = await this.#persist(run, {
            model: model || undefined,
            messages,
            ...fields,
        });
        clearInterval(storing);
        this.#runs.delete(talk.id);
        this.#conclude(node, problem);
        await this.#store.put(talk);
        if (talk === this.#talk) {
            this.#views.get(node.id)?.finish();
            if (this.#follow) this.#toEnd();
            this.#button();
        }
        this.onchange();
    }

    #conclude(node, problem) {
        if (node.state === 'writing') {
            const some = node.content || node.reasoning;
            node.state = !problem
                ? 'done'
                : problem.kind === 'stopped'
                  ? 'stopped'
                  : some
                    ? 'cut'
                    : 'failed';
            if (problem && problem.kind !== 'stopped')
                node.problem = { kind: problem.kind, text: problem.message };
        }
        const text =
            node.content.length > 2000
                ? `${node.content.slice(0, 2000)} … the rest is on the page`
                : node.content;
        announce(
            node.problem
                ? node.problem.text
                : node.state === 'stopped'
                  ? 'Stopped.'
                  : `Answer: ${text}`,
        );
        if (node.problem?.kind === 'gone' || node.problem?.kind === 'cut') this.ongone?.();
    }

    /* Asks again where the key was missing and where the server has no time, until there is a reason
     * to give up, which it gives back. */
    async #persist(run, ask_) {
        for (let tries = 1; ; tries++) {
            try {
                await this.#stream(run, ask_);
                return null;
            } catch (e) {
                /* What nobody thought of may not leave the answer waiting for ever. */
                if (!(e instanceof api.Problem)) return new api.Problem('cut', `${e}`);
                const begun = run.node.content || run.node.reasoning;
                if (e.kind === 'key' && (await askForKey(e.message))) continue;
                if (e.kind !== 'busy' || begun || tries === MAX_TRIES) return e;
                await this.#countDown(run, e);
                if (run.controller.signal.aborted) return new api.Problem('stopped', '');
            }
        }
    }

    async #countDown(run, problem) {
        announce(`${problem.message} Asking again in ${problem.wait_s} seconds.`);
        for (let s = problem.wait_s; s > 0 && !run.controller.signal.aborted; s--) {
            this.#views.get(run.node.id)?.wait(`${problem.message} Asking again in ${s} s.`);
            await sleep(1000, run.controller.signal);
        }
        this.#views.get(run.node.id)?.wait('');
    }

    async #stream({ node, controller }, ask_) {
        const begin = performance.now();
        let first = 0,
            last = 0,
            count = 0;
        try {
            for await (const piece of api.chat(ask_, controller.signal)) {
                if (piece.text || piece.reasoning) {
                    last = performance.now();
                    first ||= last;
                    count++;
                    node.content += piece.text;
                    if (piece.reasoning) node.reasoning = (node.reasoning || '') + piece.reasoning;
                }
                if (piece.finish) node.state = piece.finish === 'length' ? 'length' : 'done';
                /* The pieces count the tokens until the server says how many they were. */
                const tokens = piece.tokens ?? count;
                if (first)
                    node.stats = {
                        first_ms: first - begin,
                        tokens,
                        tokens_s: last > first ? ((tokens - 1) * 1000) / (last - first) : 0,
                    };
                this.#views.get(node.id)?.update();
            }
        } catch (e) {
            if (e.kind !== 'cut' || node.state === 'writing') throw e; // else it had said that it ends
        }
    }
}

/* True where there is another key to try. */
export async function askForKey(why) {
    const got = await ask({
        title: 'API key',
        text: why,
        ok: 'Use this key',
        fields: [
            {
                name: 'key',
                label: 'Key',
                type: 'password',
                value: '',
                check: (s) =>
                    /^[\x21-\x7e]+$/.test(s.trim())
                        ? ''
                        : 'A key is letters, digits and signs, without blanks.',
            },
            { name: 'keep', label: 'Keep it in this browser', type: 'checkbox' },
        ],
    });
    if (got) api.key.set(got.key.trim(), got.keep);
    return got !== null;
}
