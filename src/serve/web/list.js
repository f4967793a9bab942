/* list.js: the list of conversations: open, rename, export, delete, import. What a conversation is
 * doing is the business of chat.js, which it tells what was chosen. */
import { $, ask, announce, download, el, notice } from './ui.js';
import { fromFile, MAX_IMPORT_BYTES, toFile } from './talk.js';

const day = (ms) => new Date(ms).toISOString().slice(0, 10);
const nameOf = (talk) => talk.title || 'Untitled';

export class List {
    #store;
    #chat;
    #open = null;

    constructor(store, chat) {
        this.#store = store;
        this.#chat = chat;
        $('export').addEventListener('click', () => this.#exportAll());
        $('import').addEventListener('click', () => $('import-file').click());
        $('import-file').addEventListener('change', () => this.#import());
    }

    async show(openId) {
        this.#open = openId;
        const heads = await this.#store.list();
        if (openId !== this.#open) return;
        $('talks').replaceChildren(...heads.map((h) => this.#item(h)));
        $('export').disabled = !heads.length;
    }

    #item(head) {
        const open = head.id === this.#open;
        const act = (label, f) =>
            el(
                'button',
                {
                    type: 'button',
                    class: 'quiet',
                    onclick: f,
                    'aria-label': `${label} “${nameOf(head)}”`,
                },
                label,
            );
        return el(
            'li',
            { class: open ? 'open' : '' },
            el(
                'button',
                {
                    type: 'button',
                    class: 'talk',
                    'aria-current': open && 'true',
                    onclick: () => this.#chat.open(head.id),
                },
                nameOf(head),
            ),
            open
                && el(
                    'div',
                    { class: 'row' },
                    act('Rename', () => this.#rename(head)),
                    act('Export', () => this.#export(head)),
                    act('Delete', () => this.#delete(head)),
                ),
        );
    }

    async #rename(head) {
        const got = await ask({
            title: 'Rename the conversation',
            ok: 'Rename',
            fields: [
                {
                    name: 'title',
                    label: 'Name',
                    value: head.title,
                    check: (s) => (s.trim() ? '' : 'It needs a name.'),
                },
            ],
        });
        if (!got) return;
        const talk = await this.#chat.get(head.id);
        if (!talk) return;
        talk.title = got.title.trim().slice(0, 200);
        talk.named = true;
        await this.#store.put(talk);
        await this.#chat.renamed(talk);
    }

    async #delete(head) {
        const got = await ask({
            title: 'Delete the conversation?',
            danger: true,
            ok: 'Delete',
            text: `“${nameOf(head)}” is then gone for good.`,
        });
        if (!got) return;
        await this.#chat.remove(head.id);
        announce('Deleted.');
        $('input').focus();
    }

    async #export(head) {
        const talk = await this.#chat.get(head.id);
        if (talk)
            download(
                `verge-${nameOf(talk)
                    .replace(/[^\p{L}\p{N}]+/gu, '-')
                    .slice(0, 40)}.json`,
                toFile([talk]),
            );
    }

    async #exportAll() {
        const talks = [];
        for (const head of await this.#store.list()) {
            const talk = await this.#chat.get(head.id);
            if (talk) talks.push(talk);
        }
        download(`verge-conversations-${day(Date.now())}.json`, toFile(talks));
    }

    async #import() {
        const file = $('import-file').files[0];
        $('import-file').value = '';
        if (!file) return;
        notice('import', ''); // what was said about an earlier file
        try {
            if (file.size > MAX_IMPORT_BYTES) throw new Error('The file has more than 64 MiB.');
            const talks = fromFile(await file.text());
            for (const talk of talks) await this.#store.put(talk);
            await this.show(this.#open);
            notice(
                'import',
                talks.length === 1
                    ? 'One conversation imported.'
                    : `${talks.length} conversations imported.`,
            );
        } catch (e) {
            notice('import', `Nothing imported. ${e.message}`, { bad: true });
        }
    }
}
