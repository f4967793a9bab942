/* store.js: the conversations in this browser: IndexedDB, one record with what the list shows and one
 * with the messages for each. Where the browser gives no storage, or it is full, a conversation
 * stays in memory and `problem` is called with a sentence that says so; '' when all is well again. */

const FULL =
    'This browser’s storage for the page is full. What is not stored is lost when the page '
    + 'closes: export it, or delete old conversations.';
const NONE =
    'This browser keeps no data for this page (a private window, perhaps). Conversations '
    + 'are lost when the page closes: export what you need.';

const done = (request) =>
    new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });

function openDb() {
    return new Promise((resolve, reject) => {
        const request = indexedDB.open('verge', 1);
        request.onupgradeneeded = () => {
            request.result.createObjectStore('heads', { keyPath: 'id' });
            request.result.createObjectStore('talks', { keyPath: 'id' });
        };
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
        request.onblocked = () => reject(new Error('blocked'));
    });
}

const head = ({ id, title, changed }) => ({ id, title, changed });

export class Store {
    #db = null;
    #unsaved = new Map(); // id -> conversation
    #removed = new Set();
    #problem;
    #others;

    /* changed(id) is called when another window changed a conversation. */
    constructor({ problem, changed }) {
        this.#problem = problem;
        if (window.BroadcastChannel) {
            this.#others = new BroadcastChannel('verge');
            this.#others.onmessage = (event) => changed(event.data);
        }
    }

    /* Runs fn(heads, talks) in a transaction; once more with a new connection where the browser had
     * closed the old one, as phones do with pages in the background. */
    async #run(mode, fn) {
        for (let again = true; ; again = false) {
            try {
                this.#db ??= await openDb();
                const t = this.#db.transaction(['heads', 'talks'], mode);
                const end = new Promise((resolve, reject) => {
                    t.oncomplete = resolve;
                    t.onabort = () => reject(t.error || new DOMException('', 'AbortError'));
                });
                const [result] = await Promise.all([
                    fn(t.objectStore('heads'), t.objectStore('talks')),
                    end,
                ]);
                return result;
            } catch (e) {
                this.#db = null;
                if (!again || e?.name !== 'InvalidStateError') throw e;
            }
        }
    }

    #failed(e) {
        this.#problem(e?.name === 'QuotaExceededError' ? FULL : NONE);
    }

    #told(id) {
        if (!this.#unsaved.size) this.#problem('');
        this.#others?.postMessage(id);
    }

    /* [{ id, title, changed }], the latest first. */
    async list() {
        let heads = [];
        try {
            heads = await this.#run('readonly', (h) => done(h.getAll()));
        } catch (e) {
            this.#failed(e);
        }
        heads = heads.filter((h) => !this.#unsaved.has(h.id) && !this.#removed.has(h.id));
        heads.push(...Array.from(this.#unsaved.values(), head));
        return heads.sort((a, b) => b.changed - a.changed);
    }

    async get(id) {
        if (this.#unsaved.has(id)) return this.#unsaved.get(id);
        if (this.#removed.has(id)) return null;
        try {
            return (await this.#run('readonly', (_, t) => done(t.get(id)))) || null;
        } catch (e) {
            this.#failed(e);
            return null;
        }
    }

    async put(talk) {
        if (this.#removed.has(talk.id)) return;
        this.#unsaved.set(talk.id, talk);
        const copy = structuredClone(talk); // what is written now may not change under the write
        try {
            await this.#run('readwrite', (h, t) =>
                Promise.all([done(h.put(head(copy))), done(t.put(copy))]),
            );
            this.#unsaved.delete(talk.id);
            this.#told(talk.id);
        } catch (e) {
            this.#failed(e);
        }
    }

    async remove(id) {
        this.#removed.add(id);
        this.#unsaved.delete(id);
        try {
            await this.#run('readwrite', (h, t) =>
                Promise.all([done(h.delete(id)), done(t.delete(id))]),
            );
        } catch {
            /* There was no storage to remove it from. */
        }
        this.#told(id);
        await this.#again();
    }

    /* What had no room may have it now. */
    async #again() {
        for (const talk of Array.from(this.#unsaved.values())) await this.put(talk);
    }
}

/* ---- small settings ----------------------------------------------------------------------- */

/* A value kept in localStorage, or only as long as the page where that fails. */
const kept = new Map();

export function setting(name, value) {
    try {
        if (value === undefined)
            return JSON.parse(localStorage.getItem(name)) ?? kept.get(name) ?? null;
        kept.set(name, value);
        localStorage.setItem(name, JSON.stringify(value));
    } catch {
        /* kept has it. */
    }
    return kept.get(name) ?? null;
}
