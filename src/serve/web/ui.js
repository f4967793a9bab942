/* ui.js: making elements, notices, questions, and the few formats in which figures are shown. Text
 * always enters the page as text, never as HTML. */

export const $ = (id) => document.getElementById(id);

/* el('button', { class: 'x', type: 'button', onclick: f }, 'Text', child ...). A value of false,
 * null or undefined leaves an attribute out, true sets it empty. */
export function el(tag, attributes = {}, ...children) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === 'function') e.addEventListener(name.slice(2), value);
        else if (value === true) e.setAttribute(name, '');
        else if (value !== false && value != null) e.setAttribute(name, value);
    }
    e.append(...children.filter((c) => c != null && c !== false));
    return e;
}

/* ---- notices ------------------------------------------------------------------------------ */

const dismissed = new Map(); // name -> the text that the person has seen enough of

/* Shows a notice, or changes the one of the same name. Text '' takes it away. */
export function notice(name, text, { bad = false } = {}) {
    const old = document.querySelector(`[data-notice="${name}"]`);
    if (!text) {
        dismissed.delete(name);
        old?.remove();
    }
    if (!text || dismissed.get(name) === text || old?.firstChild.textContent === text) return;
    const dismiss = () => {
        dismissed.set(name, text);
        e.remove();
    };
    const e = el(
        'div',
        { class: bad ? 'notice bad' : 'notice', 'data-notice': name },
        el('span', {}, text),
        el('button', { type: 'button', class: 'quiet', onclick: dismiss }, 'Dismiss'),
    );
    if (old) old.replaceWith(e);
    else $('notices').append(e);
}

/* For those who do not see the page. The pause makes readers notice a text that comes twice. */
export function announce(text) {
    $('announce').textContent = '';
    setTimeout(() => ($('announce').textContent = text), 50);
}

/* ---- questions ---------------------------------------------------------------------------- */

/* A dialog with a text and perhaps fields: [{ name, label, value, type, check }], where check says
 * what is wrong with a value. Gives an object of the values, or null where it was called off. */
export function ask({ title, text, fields = [], ok = 'OK', danger = false }) {
    const before = document.activeElement;
    const inputs = fields.map((f) => {
        const input = el('input', {
            id: `ask-${f.name}`,
            type: f.type || 'text',
            name: f.name,
            autocomplete: 'off',
            spellcheck: 'false',
        });
        if (f.type === 'checkbox') input.checked = Boolean(f.value);
        else input.value = f.value || '';
        const label = el('label', { for: input.id }, f.label);
        const row = el('p', { class: f.type === 'checkbox' ? 'check' : 'field' });
        row.append(...(f.type === 'checkbox' ? [input, label] : [label, input]));
        return { ...f, input, row };
    });
    const wrong = el('p', { class: 'wrong', role: 'alert' });
    const form = el(
        'form',
        { method: 'dialog' },
        el('h2', { id: 'ask-heading' }, title),
        text && el('p', {}, text),
        ...inputs.map((i) => i.row),
        wrong,
        el(
            'div',
            { class: 'row end' },
            el('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel'),
            el('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, ok),
        ),
    );
    const dialog = el('dialog', { 'aria-labelledby': 'ask-heading' }, form);
    document.body.append(dialog);
    return new Promise((resolve) => {
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            const problem = inputs.map((i) => i.check?.(i.input.value)).find(Boolean);
            wrong.textContent = problem || '';
            if (!problem) dialog.close('ok');
        });
        dialog.addEventListener('close', () => {
            const values = Object.fromEntries(
                inputs.map((i) => [
                    i.name,
                    i.type === 'checkbox' ? i.input.checked : i.input.value,
                ]),
            );
            const given = dialog.returnValue === 'ok';
            dialog.remove();
            before?.focus?.();
            resolve(given ? values : null);
        });
        dialog.showModal();
        (inputs[0]?.input || form.querySelector('[type=submit]')).focus();
    });
}

/* Says on the button whether it worked, because nothing else on the page would. */
export async function copy(text, button) {
    const label = (button.dataset.label ??= button.textContent);
    let worked = true;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        worked = copyTheOldWay(text); // pages that came over plain HTTP have no clipboard
    }
    button.textContent = worked ? 'Copied' : 'Not copied';
    announce(button.textContent);
    setTimeout(() => (button.textContent = label), 1500);
}

function copyTheOldWay(text) {
    const before = document.activeElement;
    const area = el('textarea', { class: 'unseen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const worked = document.execCommand('copy');
    area.remove();
    before?.focus?.();
    return worked;
}

export function download(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    const a = el('a', { href: url, download: name });
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/* ---- figures ------------------------------------------------------------------------------ */

/* Three digits are what an eye compares. */
export function figure(x) {
    if (x == null || !Number.isFinite(x)) return '–';
    const size = Math.abs(x);
    if (size < 0.005) return '0';
    return size >= 100 || Number.isInteger(x)
        ? Math.round(x).toString()
        : size >= 10
          ? x.toFixed(1)
          : x.toFixed(2);
}

export function bytes(n) {
    if (n == null || !Number.isFinite(n)) return '–';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
    return `${figure(n)} ${units[i]}`;
}

export function duration(ms) {
    if (ms == null || !Number.isFinite(ms)) return '–';
    return ms < 1000 ? `${figure(ms)} ms` : `${figure(ms / 1000)} s`;
}
