/* mock.mjs: a server with scripted answers, for the tests of the web page. It serves the page as
 * `verge serve` does, from the same list and with the same headers, which it reads from the C files.
 * The last message of the person chooses what happens: "#code", "#slow", "#cut" and so on (PLAYS).
 *
 *     node tests/web/mock.mjs [PORT]      to look at the page with a browser
 */
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SERVE = new URL('../../src/serve/', import.meta.url);
const read = (name) => readFileSync(new URL(name, SERVE));

function page() {
    const files = new Map();
    for (const m of read('web.def')
        .toString()
        .matchAll(/WEB\(\w+, "([^"]+)", "([^"]+)",\s*"([^"]+)"\)/g))
        files.set(m[1], { type: m[3], bytes: () => read(`web/${m[2]}`) });
    const table = read('web.c')
        .toString()
        .match(/vg_web_headers\[VG_WEB_HEADERS\] = \{([^]*?)\n\};/)[1];
    const headers = Array.from(table.matchAll(/\{("[^{}]*")\}/g), (m) => {
        const texts = Array.from(m[1].matchAll(/"([^"]*)"/g), (t) => t[1]);
        return [texts[0], texts.slice(1).join('')];
    });
    return { files, headers };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* ---- what it says -------------------------------------------------------------------------- */

const CODE = `Here is the sum of a list, and what each way costs.

\`\`\`c
/* The sum of n values, in order. */
double sum(const double *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i]; /* rounded once for each value, in this order, on every machine */
    return s;
}
\`\`\`

### What it costs

| Way | Additions | Error | Good for |
|---|---:|---:|---|
| one after the other | n - 1 | grows with **n** | short lists |
| in pairs | n - 1 | grows with log n | *most* lists |
| Kahan | 4n | constant | when it must be right |

1. Measure first.
2. Then choose:
   - \`-ffp-contract=off\` keeps the order,
   - \`-Ofast\` does not.

> An exact sum is the same on every machine.

See [the article](https://en.wikipedia.org/wiki/Kahan_summation_algorithm).
`;

const EVIL = `Text <script>window.hacked = 1</script> and <img src=x onerror="window.hacked = 2">

![picture](https://evil.example/pixel.png?secret) and ![two](data:image/svg+xml,<svg onload=alert(1)>)

[bad](javascript:window.hacked=3) [data](data:text/html,<script>1</script>) [good](https://good.example/)
[relative](/v1/models) <a href="https://evil.example" onclick="window.hacked=4">raw</a>

<svg onload="window.hacked=5"><style>body{display:none}</style></svg>
<iframe src="https://evil.example"></iframe><form action="https://evil.example"><input name=a></form>
<link rel=stylesheet href=https://evil.example/x.css><base href="https://evil.example/">
<div style="background:url(https://evil.example/bg.png)">styled</div>

\`\`\`html"onmouseover="window.hacked=6
<b onclick="window.hacked=7">in code</b>
\`\`\`

Use the <div> element and a <br> break.
`;

const LONG = Array.from(
    { length: 220 },
    (_, i) =>
        `Paragraph ${i + 1} of a long answer with **bold**, \`code\` and some more words in it.\n\n`,
).join('');

const STORY =
    'Once upon a time there was a small engine. It ran on a shelf, far from any cloud, and it '
    + 'told stories to whoever asked.';

/* text, pieces of that many characters, ms between two of them, and what else a play has. */
const PLAYS = {
    '#code': { text: CODE, size: 12, ms: 2 },
    '#evil': { text: EVIL, size: 9, ms: 1 },
    '#long': { text: LONG, size: 6, ms: 0 },
    '#slow': { text: STORY.repeat(20), size: 4, ms: 40 },
    '#think': { reasoning: 'The person wants a story. A short one will do.', text: STORY, ms: 3 },
    '#length': { text: STORY, finish: 'length' },
    '#cut': { text: STORY, cut: true },
    '#midway': {
        text: STORY,
        error: { message: 'the engine stopped', type: 'server_error', code: 500 },
    },
    '#429': {
        status: 429,
        retry: '2',
        times: 1,
        text: STORY,
        error: { message: 'the queue is full', type: 'rate_limit_error' },
    },
    '#always429': { status: 429, retry: '30', times: 1e9, error: { message: 'the queue is full' } },
    '#413': { status: 413, error: { message: 'the body has more than 33554432 bytes' } },
    '#context': {
        status: 413,
        error: {
            message: 'the context window is full: 9000 tokens, room for 8192',
            code: 'context_length_exceeded',
        },
    },
    '#400': {
        status: 400,
        error: { message: 'temperature: 9 is above 2', type: 'invalid_request_error' },
    },
    '#html': { status: 502, html: '<h1>Bad gateway</h1>' },
    '#garbage': { garbage: true },
    '#deep': { text: `${'> '.repeat(30000)}deep`, size: 6000, ms: 1 },
    '#unicode': { text: 'Grüße 👩‍👩‍👧 你好 مرحبا', size: 1, bytewise: true },
};

/* ---- answering ------------------------------------------------------------------------------ */

function refuse(res, status, error, headers = {}) {
    res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    res.end(JSON.stringify({ error }));
}

function playOf(state, request) {
    const said = request.messages.at(-1).content;
    const name = said.match(/#\w+/)?.[0];
    const play = PLAYS[name] || { text: `You said: ${said}` };
    const used = (state.used[name] = (state.used[name] || 0) + 1);
    return play.status && used > (play.times ?? 1e9) ? { ...play, status: 0, error: null } : play;
}

async function chat(state, req, res, body) {
    const request = JSON.parse(body);
    state.requests.push(request);
    const play = playOf(state, request);
    if (play.status && play.html) {
        res.writeHead(play.status, { 'Content-Type': 'text/html' });
        return res.end(play.html);
    }
    if (play.status)
        return refuse(
            res,
            play.status,
            play.error,
            play.retry ? { 'Retry-After': play.retry } : {},
        );
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const send = (choice, more = {}) =>
        res.write(
            `data: ${JSON.stringify({
                id: 'chatcmpl-1',
                object: 'chat.completion.chunk',
                choices: choice ? [{ index: 0, ...choice }] : [],
                ...more,
            })}\n\n`,
        );
    let gone = false,
        n = 0;
    state.running++;
    res.on('close', () => {
        gone = true;
        state.running--;
    });
    if (play.garbage) return res.end('data: {"choices": [\n\ndata: [DONE]\n\n');
    send({ delta: { role: 'assistant', content: '' }, finish_reason: null });
    await sleep(state.first_ms);
    for (const [kind, text] of [
        ['reasoning_content', play.reasoning || ''],
        ['content', play.text],
    ]) {
        const letters = Array.from(text);
        for (let i = 0; i < letters.length && !gone; i += play.size || 5, n++) {
            const piece = letters.slice(i, i + (play.size || 5)).join('');
            if (play.bytewise) await sendBytes(res, kind, piece);
            else send({ delta: { [kind]: piece }, finish_reason: null });
            state.tokens++;
            if (play.ms !== 0 || i % 50 === 0) await sleep(play.ms ?? 4);
            if (play.cut && n === 10) return res.destroy();
            if (play.error && n === 10) {
                res.write(`data: ${JSON.stringify({ error: play.error })}\n\n`);
                return res.end();
            }
        }
    }
    if (gone) return (state.cancelled++, undefined);
    send({ delta: {}, finish_reason: play.finish || 'stop' });
    send(null, { usage: { prompt_tokens: 10, completion_tokens: n, total_tokens: n + 10 } });
    return res.end('data: [DONE]\n\n');
}

/* Each byte in a packet of its own: characters and lines arrive in halves. */
async function sendBytes(res, kind, piece) {
    const bytes = Buffer.from(
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: { [kind]: piece } }] })}\r\n\r\n`,
    );
    for (const b of bytes) {
        res.write(Buffer.from([b]));
        await sleep(0);
    }
}

/* ---- the live feed -------------------------------------------------------------------------- */

function report(state, t) {
    const wave = (period, phase = 0) => (1 + Math.sin((2 * Math.PI * t) / period + phase)) / 2;
    const used = Math.round(300 + 500 * wave(60)),
        cached = Math.round(400 * wave(90, 1));
    return {
        time_s: t,
        models: [
            { name: 'stories-15M', state: 'ready', bytes: 17825792, ctx: 2048 },
            { name: 'qwen3-0.6b-q4', state: 'loading', bytes: 484220320, ctx: 8192 },
        ],
        tokens_s: state.feed === 'real' ? state.tokens : 90 * wave(30) + 20,
        prompt_tokens_s: 900 * wave(20, 2) ** 6,
        running: state.feed === 'real' ? state.running : Math.round(14 * wave(40)),
        queue: Math.round(6 * wave(50) ** 4),
        batch_rows: Math.round(14 * wave(40)),
        batch_cap: 16,
        pages_used: used,
        pages_cached: cached,
        pages: 1600,
        memory_bytes: 1.2e9 + 2e8 * wave(120),
        ttft_ms: { p50: 80 + 40 * wave(45), p95: 200 + 300 * wave(45) ** 2 },
        step_ms: 9 + 6 * wave(40),
        requests_total: state.requests.length + 1234,
        errors_total: 3,
        prefix_hit_tokens: 98765,
    };
}

function feed(state, res) {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    state.feeds.add(res);
    let t = 0;
    const timer = setInterval(() => {
        res.write(`data: ${JSON.stringify(report(state, (t += 0.5)))}\n\n`);
        state.tokens = 0;
    }, state.feed_ms);
    res.on('close', () => {
        clearInterval(timer);
        state.feeds.delete(res);
    });
}

/* ---- the server ----------------------------------------------------------------------------- */

function answer(state, web, req, res, body) {
    const path = new URL(req.url, 'http://x').pathname;
    const file = web.files.get(path);
    state.paths.push(path);
    if (file && req.method === 'GET') {
        const bytes = file.bytes();
        return res.writeHead(200, [...web.headers, ['Content-Type', file.type]].flat()).end(bytes);
    }
    if (path === '/health')
        return res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"status":"ok"}');
    if (state.key && req.headers.authorization !== `Bearer ${state.key}`)
        return refuse(res, 401, { message: 'no such key', type: 'authentication_error' });
    if (path === '/v1/models') {
        res.writeHead(200, { 'Content-Type': 'application/json' });
        return res.end(
            JSON.stringify({
                object: 'list',
                data: state.models.map((id) => ({ id, object: 'model' })),
            }),
        );
    }
    if (path === '/verge/live') return feed(state, res);
    if (path === '/v1/chat/completions') return chat(state, req, res, body);
    return refuse(res, 404, { message: `no such path: ${path}` });
}

export async function start(port = 0) {
    const state = {
        key: '',
        models: ['stories-15M', 'qwen3-0.6b-q4'],
        requests: [],
        paths: [],
        used: {},
        running: 0,
        cancelled: 0,
        tokens: 0,
        first_ms: 5,
        feeds: new Set(),
        feed: 'waves',
        feed_ms: 500,
    };
    const web = page();
    const server = createServer((req, res) => {
        const parts = [];
        req.on('data', (d) => parts.push(d));
        req.on('end', () => answer(state, web, req, res, Buffer.concat(parts)));
    });
    const listen = (p) => new Promise((resolve) => server.listen(p, '127.0.0.1', resolve));
    await listen(port);
    const { port: bound } = server.address();
    return {
        state,
        url: `http://127.0.0.1:${bound}/`,
        listen: () => listen(bound),
        close: () =>
            new Promise((resolve) => {
                server.close(resolve);
                server.closeAllConnections();
            }),
    };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const mock = await start(Number(process.argv[2] || 8081));
    console.log(mock.url);
}
