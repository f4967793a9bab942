/* options.js: how answers are made. A field that is empty is not sent, so the server's own choice
 * holds; a value that cannot be is said at its field and not sent either. */
import { $, announce, el } from './ui.js';
import { setting } from './store.js';

const number = (min, max, whole) => (text) => {
    const x = Number(text);
    if (!Number.isFinite(x) || x < min || x > max) return `From ${min} to ${max}`;
    return whole && !Number.isInteger(x) ? 'A whole number' : { value: x };
};

function schema(text) {
    let value;
    try {
        value = JSON.parse(text);
    } catch (e) {
        return `No JSON: ${e.message}`;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
        return 'An object: {…}';
    return { value };
}

const lines = (text) => ({ value: text.split('\n').filter(Boolean) });
const asIs = (text) => ({ value: text });

/* name, label, what it does, how it is read, rows of a text field. */
const FIELDS = [
    ['system', 'System prompt', 'Stands before every conversation.', asIs, 4],
    ['temperature', 'Temperature', '0: always the most probable token.', number(0, 2)],
    ['top_p', 'Top-p', 'The most probable tokens with this share together.', number(0, 1)],
    ['top_k', 'Top-k', 'This many most probable tokens; 0: all.', number(0, 1e6, true)],
    ['min_p', 'Min-p', 'Tokens with at least this share of the best one’s.', number(0, 1)],
    ['max_tokens', 'Longest answer', 'In tokens.', number(1, 1e7, true)],
    ['seed', 'Seed', 'The same seed, the same answer.', number(0, 2 ** 53 - 1, true)],
    ['stop', 'Stop texts', 'One a line. The answer ends before any of them.', lines, 2],
    ['schema', 'JSON Schema', 'The answer is JSON of this shape.', schema, 4],
];

export class Options {
    #texts = setting('verge-options') || {};

    constructor(box) {
        for (const [name, label, what, read, rows] of FIELDS)
            this.#add(box, { name, label, what, read, rows });
        box.append(
            el(
                'button',
                { type: 'button', class: 'quiet', onclick: () => this.#clear() },
                'The server’s choice for all',
            ),
            el(
                'p',
                { class: 'licences' },
                'Drawn and written with ',
                el('a', { href: 'web/vendor/uPlot.LICENSE.txt' }, 'uPlot'),
                ', ',
                el('a', { href: 'web/vendor/marked.LICENSE.txt' }, 'marked'),
                ' and ',
                el('a', { href: 'web/vendor/purify.LICENSE.txt' }, 'DOMPurify'),
                '.',
            ),
        );
    }

    #add(box, { name, label, what, read, rows }) {
        const id = `option-${name}`;
        const input = rows
            ? el('textarea', { id, rows, spellcheck: name === 'system' ? 'true' : 'false' })
            : el('input', {
                  id,
                  inputmode: 'decimal',
                  autocomplete: 'off',
                  placeholder: 'server’s choice',
              });
        input.setAttribute('aria-describedby', `${id}-what`);
        input.value = typeof this.#texts[name] === 'string' ? this.#texts[name] : '';
        const note = el('small', { id: `${id}-what` }, what);
        const check = () => {
            const text = input.value.trim();
            const got = text ? read(text) : {};
            const wrong = typeof got === 'string';
            input.setAttribute('aria-invalid', String(wrong));
            note.textContent = wrong ? got : what;
            note.classList.toggle('wrong', wrong);
            this.#texts[name] = input.value;
            setting('verge-options', this.#texts);
        };
        input.addEventListener('input', check);
        if (input.value) check();
        box.append(el('p', { class: 'field' }, el('label', { for: id }, label), input, note));
    }

    #clear() {
        for (const [name] of FIELDS) {
            const input = $(`option-${name}`);
            input.value = '';
            input.dispatchEvent(new Event('input'));
        }
        announce('All options are empty.');
    }

    /* The label of a field that cannot be sent as it is; '' where all can. */
    wrong() {
        for (const [name, label, , read] of FIELDS) {
            const text = (this.#texts[name] || '').trim();
            if (text && typeof read(text) === 'string') return label;
        }
        return '';
    }

    /* { system, fields of the request }. */
    read() {
        const out = {};
        for (const [name, , , read] of FIELDS) {
            const text = (this.#texts[name] || '').trim();
            const got = text ? read(text) : {};
            if (got.value !== undefined) out[name] = got.value;
        }
        const { system, schema: shape, ...fields } = out;
        if (shape)
            fields.response_format = {
                type: 'json_schema',
                json_schema: { name: 'answer', schema: shape },
            };
        return { system, fields };
    }
}
