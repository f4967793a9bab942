/* message.js: how one message looks. A message that is being written is drawn at most once a frame,
 * and less often where drawing takes long, so that it never takes more than a fifth of the time. */
import { copy, duration, el, figure } from './ui.js';
import { Writer } from './markdown.js';

const MARKS = {
    length: 'It ends here: the limit of tokens, or of the context, is reached.',
    stopped: 'You stopped it here.',
    cut: 'It is cut off here.',
    failed: '',
};

export class MessageView {
    #node;
    #actions;
    #writer = null;
    #asked = false;
    #wait_until = 0;
    #drawn = '';
    #editing = false;

    /* actions: { edit, again, turn, busy } of the conversation, each given the node. */
    constructor(node, actions) {
        this.#node = node;
        this.#actions = actions;
        this.body = el('div', { class: 'body' });
        this.thoughts = el('div', { class: 'thoughts' });
        this.reasoning = el(
            'details',
            { class: 'reasoning', hidden: true },
            el('summary', {}, 'Reasoning'),
            this.thoughts,
        );
        this.mark = el('p', { class: 'mark', hidden: true });
        this.foot = el('div', { class: 'row foot' });
        const who = node.role === 'user' ? 'You' : node.model || 'Answer';
        this.element = el(
            'article',
            { class: `message ${node.role}`, 'data-id': node.id },
            el('h2', { class: 'who' }, who),
            this.reasoning,
            this.body,
            this.mark,
            this.foot,
        );
        this.finish();
    }

    /* Something of a message that is being written has changed. */
    update() {
        if (this.#asked) return;
        this.#asked = true;
        requestAnimationFrame(() => {
            this.#asked = false;
            if (this.#node.state !== 'writing') return;
            if (performance.now() < this.#wait_until) return this.update();
            const begin = performance.now();
            this.#draw();
            this.#wait_until = begin + 5 * (performance.now() - begin);
            this.ondrawn?.();
        });
    }

    #draw() {
        const node = this.#node;
        this.element.querySelector('.who').textContent = node.model || 'Answer';
        if (node.reasoning) {
            this.reasoning.hidden = false;
            if (this.reasoning.open || !node.content) this.thoughts.textContent = node.reasoning;
            this.reasoning.firstChild.textContent = node.content ? 'Reasoning' : 'Reasoning …';
        }
        this.#writer ??= new Writer(this.body);
        if (node.content !== this.#drawn) {
            this.#drawn = node.content;
            this.#writer.write(node.content.replaceAll('\r', ''));
        }
        this.#drawStats();
    }

    #drawStats() {
        const { first_ms, tokens, tokens_s } = this.#node.stats || {};
        const parts = [];
        if (first_ms != null) parts.push(`first token ${duration(first_ms)}`);
        if (tokens_s) parts.push(`${figure(tokens_s)} tokens/s`);
        if (tokens) parts.push(`${tokens} tokens`);
        const text = parts.join(' · ') || (this.#node.state === 'writing' ? 'Waiting …' : '');
        if (this.stats?.parentNode !== this.foot) {
            this.stats = el('span', { class: 'stats' });
            this.foot.append(this.stats);
        }
        this.stats.textContent = text;
    }

    /* The message is complete, or its surroundings changed: everything anew. */
    finish() {
        const node = this.#node;
        this.element.classList.toggle('writing', node.state === 'writing');
        this.foot.replaceChildren();
        if (node.role === 'user') this.body.textContent = node.content;
        else if (node.state === 'writing') this.#draw();
        else this.#finishAnswer(node);
        this.#buttons(node);
        if (node.role === 'assistant') this.#drawStats();
    }

    #finishAnswer(node) {
        this.element.querySelector('.who').textContent = node.model || 'Answer';
        (this.#writer ?? new Writer(this.body)).finish(node.content.replaceAll('\r', ''));
        this.reasoning.hidden = !node.reasoning;
        this.reasoning.firstChild.textContent = 'Reasoning';
        this.thoughts.textContent = node.reasoning || '';
        const text = [MARKS[node.state], node.problem?.text].filter(Boolean).join(' ');
        this.mark.hidden = !text;
        this.mark.textContent = text;
        this.mark.classList.toggle('bad', node.state === 'cut' || node.state === 'failed');
    }

    get node() {
        return this.#node;
    }

    /* The message is what it was, but it may have become the last one, or got another version. */
    refresh() {
        if (this.#editing || this.#node.state === 'writing') return;
        this.foot.replaceChildren();
        this.#buttons(this.#node);
        if (this.#node.role === 'assistant') this.#drawStats();
    }

    /* A line instead of the mark while an answer waits for a busy server. */
    wait(text) {
        this.mark.hidden = !text;
        this.mark.textContent = text;
        this.mark.classList.remove('bad');
    }

    #buttons(node) {
        if (node.state === 'writing') return;
        const button = (label, act, name) =>
            el(
                'button',
                { type: 'button', class: 'quiet', onclick: act, 'aria-label': name },
                label,
            );
        const all = this.#actions.versions(node);
        const at = all.indexOf(node);
        if (all.length > 1) {
            const turn = (to) => () => this.#actions.turn(all[to]);
            const older = button('‹', turn(at - 1), 'The version before');
            const newer = button('›', turn(at + 1), 'The next version');
            older.disabled = at === 0;
            newer.disabled = at === all.length - 1;
            this.foot.append(
                el(
                    'span',
                    { class: 'row versions' },
                    older,
                    el('span', {}, `${at + 1} of ${all.length}`),
                    newer,
                ),
            );
        }
        if (node.content)
            this.foot.append(
                button(
                    'Copy',
                    (event) => copy(node.content, event.currentTarget),
                    'Copy the message',
                ),
            );
        if (node.role === 'user')
            this.foot.append(button('Edit', () => this.#edit(), 'Edit the message'));
        else if (this.#actions.isLast(node))
            this.foot.append(
                button(node.state === 'failed' ? 'Try again' : 'Regenerate', () =>
                    this.#actions.again(node),
                ),
            );
    }

    /* The message becomes a field; sending it makes another version. */
    #edit() {
        const area = el('textarea', { class: 'edit', 'aria-label': 'The message', rows: '3' });
        area.value = this.#node.content;
        this.#editing = true;
        const close = () => {
            this.#editing = false;
            this.body.replaceChildren();
            this.finish();
            this.foot.querySelector('[aria-label^=Edit]')?.focus();
        };
        const send = () => {
            const text = area.value.trim();
            if (text && this.#actions.edit(this.#node, text) === false) return;
            if (!text) close();
        };
        area.addEventListener('keydown', (event) => {
            if (event.key === 'Escape') {
                event.stopPropagation();
                close();
            } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                send();
            }
        });
        this.body.replaceChildren(area);
        this.foot.replaceChildren(
            el('button', { type: 'button', class: 'primary', onclick: send }, 'Send again'),
            el('button', { type: 'button', onclick: close }, 'Cancel'),
        );
        area.focus();
        area.style.height = `${Math.min(area.scrollHeight + 4, 400)}px`;
    }
}
