/* markdown.js: an answer's markdown as elements of the page. What a model writes is not to be
 * trusted: raw HTML is shown as the text that it is, pictures become words (fetching one would tell
 * another host), and DOMPurify lets through only the tags that markdown has.
 *
 * A Writer renders an answer that grows. Blocks that nothing later can change are rendered once; only
 * the last block is rendered anew with each frame, so a long answer costs no more than a short one. */
import { Marked } from './vendor/marked.esm.js';
import { copy, el } from './ui.js';

const escape = (s) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const HARMLESS = /^<\/?(br|hr|b|i|u|s|sub|sup|kbd|mark)\s*\/?>$/i;

const marked = new Marked({
    gfm: true,
    breaks: true,
    renderer: {
        html({ text, block }) {
            if (HARMLESS.test(text.trim())) return text;
            return block ? `<p class="raw">${escape(text.trim())}</p>` : escape(text);
        },
        image: ({ text, href }) =>
            `<span class="picture">[picture: ${escape(text || href)}]</span>`,
        checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
        /* The page and the message have the first two levels. Models begin at any depth, so most
         * become the third, and only look different. */
        heading({ tokens, depth }) {
            const h = depth <= 3 ? 'h3' : 'h4';
            return `<${h} class="d${depth}">${this.parser.parseInline(tokens)}</${h}>`;
        },
        code: ({ text, lang }) =>
            `<pre><code title="${escape((lang || '').split(/\s/)[0])}">${escape(text)}</code></pre>`,
    },
});

const ALLOWED = {
    ALLOWED_TAGS: [
        'a',
        'b',
        'blockquote',
        'br',
        'code',
        'del',
        'em',
        'h3',
        'h4',
        'hr',
        'i',
        'kbd',
        'li',
        'mark',
        'ol',
        'p',
        'pre',
        's',
        'span',
        'strong',
        'sub',
        'sup',
        'table',
        'tbody',
        'td',
        'th',
        'thead',
        'tr',
        'u',
        'ul',
    ],
    ALLOWED_ATTR: ['align', 'class', 'href', 'start', 'title'],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ADD_URI_SAFE_ATTR: ['align', 'start'],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    RETURN_DOM_FRAGMENT: true,
};

function finishLink(a) {
    const href = a.getAttribute('href');
    if (!href) return a.replaceWith(...a.childNodes);
    a.title = href;
    a.target = '_blank';
    a.rel = 'noopener noreferrer nofollow';
    return undefined;
}

function finishCode(pre, whole) {
    const code = pre.firstElementChild;
    if (!code) return;
    const lang = code.title;
    code.removeAttribute('title');
    pre.tabIndex = 0; // so that keys can scroll it
    const box = el('div', { class: 'code' });
    pre.replaceWith(box);
    box.append(
        el(
            'div',
            { class: 'row bar' },
            el('span', {}, lang || 'text'),
            el('span', { class: 'grow' }),
            whole
                && el(
                    'button',
                    {
                        type: 'button',
                        class: 'quiet',
                        onclick: (event) => copy(code.textContent, event.currentTarget),
                    },
                    'Copy',
                ),
        ),
        pre,
    );
}

function finishTable(table) {
    const box = el('div', {
        class: 'wide-table',
        tabindex: '0',
        role: 'region',
        'aria-label': 'Table',
    });
    table.replaceWith(box);
    box.append(table);
}

/* A block that is still written has no button: it would be replaced under the finger. */
function render(tokens, whole) {
    const fragment = DOMPurify.sanitize(marked.parser(tokens), ALLOWED);
    fragment.querySelectorAll('a').forEach(finishLink);
    fragment.querySelectorAll('pre').forEach((pre) => finishCode(pre, whole));
    fragment.querySelectorAll('table').forEach(finishTable);
    return fragment;
}

export class Writer {
    #box;
    #tail = el('div', { class: 'tail' });
    #settled = 0; // characters whose blocks are rendered for good
    #plain = false;

    constructor(box) {
        this.#box = box;
        box.replaceChildren(this.#tail);
    }

    /* The text so far; it only grows. */
    write(text) {
        this.#try(text, () => {
            const tokens = marked.lexer(text.slice(this.#settled));
            let last = tokens.length - 1;
            while (last > 0 && tokens[last].type === 'space') last--;
            if (last > 0) {
                const settled = tokens.splice(0, last);
                this.#tail.before(render(settled, true));
                for (const t of settled) this.#settled += t.raw.length;
            }
            this.#tail.replaceChildren(render(tokens, false));
        });
    }

    /* The whole text. Only a link's definition also counts for what stands before it; without one
     * the settled blocks stay, and with them what the reader has selected. */
    finish(text) {
        this.#try(text, () => {
            if (/^ {0,3}\[[^\]]+\]:/m.test(text)) {
                this.#settled = 0;
                this.#box.replaceChildren(this.#tail);
            }
            this.#tail.before(render(marked.lexer(text.slice(this.#settled)), true));
            this.#tail.remove();
        });
    }

    /* Markdown that is nested too deeply for the parser's stack is shown as it is. */
    #try(text, draw) {
        try {
            if (!this.#plain) return draw();
        } catch {
            this.#plain = true;
        }
        this.#box.replaceChildren(el('p', { class: 'raw' }, text));
        return undefined;
    }
}
