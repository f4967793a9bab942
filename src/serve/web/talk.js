/* talk.js: a conversation. Its messages are a tree: an edited message and another answer stand
 * beside what was there before, so nothing that was said is lost. What is shown, and sent, is the
 * path from the root to `leaf`.
 *
 *     node = { id, parent, role: 'user' | 'assistant', content, reasoning, state, problem, model,
 *              stats, at }
 *
 * state, of an answer: 'writing', 'done', 'length' (it reached a limit), 'stopped' (by the person),
 * 'cut' (by an accident), 'failed' (nothing came). A parent stands before its children. */

export const MAX_IMPORT_BYTES = 64 << 20;

const newId = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) =>
        b.toString(36).padStart(2, '0'),
    ).join('');

export function newTalk() {
    return { id: newId(), title: '', named: false, changed: Date.now(), nodes: [], leaf: null };
}

export function path(talk, leaf = talk.leaf) {
    const byId = new Map(talk.nodes.map((n) => [n.id, n]));
    const out = [];
    for (let n = byId.get(leaf); n; n = byId.get(n.parent)) out.unshift(n);
    return out;
}

/* The versions of a message, in the order in which they came. */
export const versions = (talk, node) =>
    talk.nodes.filter((n) => n.parent === node.parent && n.role === node.role);

export function add(talk, parent, role, fields) {
    const node = { id: newId(), parent, role, content: '', at: Date.now(), ...fields };
    talk.nodes.push(node);
    talk.leaf = node.id;
    talk.changed = node.at;
    if (role === 'user' && !talk.named) talk.title ||= titleOf(node.content);
    return node;
}

/* Shows a version: the branch below it that is the youngest. */
export function turnTo(talk, node) {
    for (let next = node; next;) {
        talk.leaf = next.id;
        const below = next;
        next = talk.nodes.findLast((n) => n.parent === below.id);
    }
}

const titleOf = (text) => {
    const line = text.trim().split('\n', 1)[0];
    return line.length > 60 ? `${line.slice(0, 59)}…` : line;
};

/* What the server is sent. An answer that failed is left out; messages of the person that then
 * stand side by side become one, because chat templates want roles to alternate. */
export function request(talk, leaf, system) {
    const messages = system ? [{ role: 'system', content: system }] : [];
    for (const n of path(talk, leaf)) {
        if (n.role === 'assistant' && !n.content) continue;
        const last = messages.at(-1);
        if (last?.role === n.role) last.content += `\n\n${n.content}`;
        else messages.push({ role: n.role, content: n.content });
    }
    return messages;
}

/* ---- files -------------------------------------------------------------------------------- */

const FORMAT = 'verge-conversations';

export const toFile = (talks) =>
    JSON.stringify({ format: FORMAT, version: 1, conversations: talks }, null, 1);

const isText = (x) => typeof x === 'string';
const STATES = ['writing', 'done', 'length', 'stopped', 'cut', 'failed'];

/* Takes only what it knows, piece by piece: a file may come from anywhere. */
function readNode(n, known) {
    if (!n || !isText(n.id) || !isText(n.content) || known.has(n.id)) return null;
    if (n.parent !== null && !known.has(n.parent)) return null;
    if (n.role !== 'user' && n.role !== 'assistant') return null;
    const node = {
        id: n.id,
        parent: n.parent,
        role: n.role,
        content: n.content,
        at: Number.isFinite(n.at) ? n.at : 0,
    };
    if (n.role === 'assistant') {
        node.state = STATES.includes(n.state) ? n.state : 'done';
        if (isText(n.reasoning)) node.reasoning = n.reasoning;
        if (isText(n.model)) node.model = n.model;
        if (isText(n.problem?.text)) node.problem = { kind: 'old', text: n.problem.text };
        if (n.stats && typeof n.stats === 'object') node.stats = readStats(n.stats);
    }
    return node;
}

function readStats(s) {
    const out = {};
    for (const name of ['first_ms', 'tokens', 'tokens_s'])
        if (Number.isFinite(s[name])) out[name] = s[name];
    return out;
}

/* The conversations of a file, with new ids so that none replaces one that is here. Throws an Error
 * that says what is wrong with the file. */
export function fromFile(text) {
    let file;
    try {
        file = JSON.parse(text);
    } catch {
        throw new Error('The file is no JSON.');
    }
    if (file?.format !== FORMAT || !Array.isArray(file.conversations))
        throw new Error('The file is no export of Verge conversations.');
    if (file.version !== 1)
        throw new Error(`The file has version ${file.version}; this page reads version 1.`);
    return file.conversations.map((c, i) => {
        const talk = newTalk();
        const known = new Set();
        for (const n of Array.isArray(c?.nodes) ? c.nodes : []) {
            const node = readNode(n, known);
            if (!node) throw new Error(`Conversation ${i + 1} of the file is damaged.`);
            known.add(node.id);
            talk.nodes.push(node);
        }
        talk.title = isText(c?.title) ? c.title.slice(0, 200) : '';
        talk.named = c?.named === true;
        talk.changed = Number.isFinite(c?.changed) ? c.changed : Date.now();
        talk.leaf = known.has(c?.leaf) ? c.leaf : (talk.nodes.at(-1)?.id ?? null);
        return talk;
    });
}
