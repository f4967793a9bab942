/* real.test.mjs: the page as `verge serve` serves it, with the model inside the program. It stays
 * out where the program is not built. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { launch, open, quit } from './browser.mjs';

const VERGE = process.env.VERGE || 'build/app/verge';
const skip = existsSync(VERGE) ? false : `no ${VERGE}`;
const servers = new Set();

before(launch);
after(async () => {
    for (const s of servers) await s.stop();
    await quit();
});

/* Starts the program and reads where it listens. */
function serve(...args) {
    const child = spawn(VERGE, ['serve', '--port', '0', '--drain', '1', ...args]);
    const server = {
        stop: (signal = 'SIGTERM') =>
            new Promise((resolve) => {
                servers.delete(server);
                child.once('exit', resolve);
                if (child.exitCode === null) child.kill(signal);
                else resolve();
            }),
    };
    servers.add(server);
    let said = '';
    return new Promise((resolve, reject) => {
        child.once('exit', () => reject(new Error(said)));
        child.stderr.on('data', (d) => {
            said += d;
            const url = said.match(/http:\/\/[\d.]+:\d+/)?.[0];
            if (url) resolve(Object.assign(server, { url: `${url}/`, port: new URL(url).port }));
        });
    });
}

test('a story, with its figures', { skip }, async () => {
    const server = await serve();
    const t = await open({ url: server.url });
    assert.equal(await t.page.inputValue('#model'), 'verge');
    await t.page.click('#options-toggle');
    await t.page.fill('#option-max_tokens', '40');
    await t.page.fill('#option-seed', '1');
    await t.ask('Once upon a time');
    assert.match(await t.last('.stats').innerText(), /first token .* · .* tokens\/s · 40 tokens/);
    await t.has('It ends here: the limit of tokens');
    const first = await t.last('.body').innerText();
    assert.ok(first.length > 40);
    await t.page.click('text=Regenerate');
    await t.has('2 of 2');
    await t.idle();
    assert.equal(await t.last('.body').innerText(), first, 'the same seed tells the same story');
    await t.close();
    await server.stop();
});

/* Answers to others keep the engine busy, so that the page's own takes its time. */
function crowd(url, n) {
    const controller = new AbortController();
    const body = JSON.stringify({
        messages: [{ role: 'user', content: 'Once upon a time' }],
        stream: true,
        ignore_eos: true,
        max_tokens: 450,
    });
    const ask = async () => {
        const { signal } = controller;
        const response = await fetch(`${url}v1/chat/completions`, { method: 'POST', body, signal });
        for await (const _ of response.body);
    };
    const all = Array.from({ length: n }, () => ask().catch(() => {}));
    return async () => {
        controller.abort();
        await Promise.all(all);
    };
}

async function metric(url, name) {
    const metrics = await (await fetch(`${url}metrics`)).text();
    return Number(metrics.match(new RegExp(`\n${name}(?:\\{[^}]*\\})? (\\S+)`))[1]);
}

const SLOW = ['--isa', 'c', '--threads', '1'];

test('stop: the engine does no more for it', { skip }, async () => {
    const server = await serve(...SLOW);
    const t = await open({ url: server.url });
    const seen = await t.context.newPage(); // the live view in a window of its own
    await seen.goto(`${server.url}#engine`);
    const running = (n) =>
        seen.waitForFunction(
            (x) => document.querySelectorAll('.legend')[2].querySelector('b').textContent === x,
            String(n),
        );
    await running(0);
    const leave = crowd(server.url, 8);
    await running(8);
    await t.say('Once upon a time');
    await t
        .last('.body')
        .getByText(/\w+ \w+/)
        .waitFor();
    await running(9);
    await t.page.keyboard.press('Escape');
    await t.idle();
    await t.has('You stopped it here.');
    await running(8);
    assert.equal(await metric(server.url, 'verge_answers_cancelled_total'), 1);
    await leave();
    await running(0);
    assert.equal(await metric(server.url, 'verge_answers_cancelled_total'), 9);
    await t.close();
    await server.stop();
});

test(
    'a conversation longer than the context, and a value that the server refuses',
    { skip },
    async () => {
        const server = await serve('--ctx', '128');
        const t = await open({ url: server.url });
        await t.ask('word '.repeat(300));
        await t
            .last('.mark.bad')
            .getByText('The conversation is longer than the model’s context')
            .waitFor();
        await t.page.click('#new');
        await t.page.click('#options-toggle');
        await t.page.fill('#option-schema', '{"type": "nothing"}');
        await t.ask('hello');
        await t
            .last('.mark.bad')
            .getByText(/The server refused: .*(schema|type)/)
            .waitFor();
        await t.shot('real-refused');
        await t.close();
        await server.stop();
    },
);

test('a key of the server', { skip }, async () => {
    const folder = mkdtempSync(`${tmpdir()}/verge-web-`);
    const made = spawnSync(VERGE, ['serve', '--new-key', 'alice'], { encoding: 'utf8' });
    const secret = made.stderr.match(/vg-\S+/)[0];
    writeFileSync(`${folder}/keys`, made.stdout, { mode: 0o600 });
    const server = await serve('--key-file', `${folder}/keys`);
    const before = () => (window.expectNoModel = true);
    const t = await open({ url: server.url, before, hash: '#engine' });
    await t.page.fill('#ask-key', 'wrong');
    await t.page.keyboard.press('Enter');
    await t.page.waitForFunction(() => document.getElementById('ask-key')?.value === '');
    assert.equal(await t.page.locator('dialog').count(), 1, 'both views want a key, one asks');
    await t.page.fill('#ask-key', secret);
    await t.page.keyboard.press('Enter');
    await t.page.waitForFunction(
        () => document.getElementById('live-state').textContent === 'Live',
    );
    await t.page.click('#tab-chat');
    await t.ask('Once upon a time');
    assert.ok((await t.last('.body').innerText()).length > 20);
    await t.close();
    await server.stop();
    rmSync(folder, { recursive: true });
});

test('a text that is too large for the server', { skip }, async () => {
    const server = await serve('--max-body', '1');
    const t = await open({ url: server.url });
    await t.ask('word '.repeat(500000));
    await t
        .last('.mark.bad')
        .getByText('This is more text than the server takes at once.')
        .waitFor();
    await t.close();
    await server.stop();
});

test('an answer of a given shape', { skip }, async () => {
    const server = await serve();
    const t = await open({ url: server.url });
    await t.page.click('#options-toggle');
    await t.page.fill(
        '#option-schema',
        '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],'
            + ' "additionalProperties": false}',
    );
    await t.ask('Is it so?');
    assert.equal(typeof JSON.parse(await t.last('.body').innerText()).ok, 'boolean');
    await t.close();
    await server.stop();
});

test('the server ends in the middle and comes back', { skip }, async () => {
    let server = await serve(...SLOW);
    const { port, url } = server;
    const t = await open({ url });
    await t.page.click('#options-toggle');
    const leave = crowd(url, 8);
    await t.say('Once upon a time');
    await t
        .last('.body')
        .getByText(/\w+ \w+/)
        .waitFor();
    await server.stop('SIGKILL');
    await leave();
    await t.idle();
    await t.has('It is cut off here.');
    await t.has('The server does not answer.');
    server = await serve('--port', port);
    await t.page.waitForFunction(() => !document.querySelector('[data-notice=server]'));
    await t.page.fill('#option-max_tokens', '20');
    await t.page.click('text=Regenerate');
    await t.has('2 of 2');
    await t.idle();
    await t.close();
    await server.stop();
});

test('files that have not changed are not sent again', { skip }, async () => {
    const server = await serve();
    const Accept = 'text/html'; // without it / speaks to Ollama's clients
    const first = await fetch(server.url, { headers: { Accept } });
    const etag = first.headers.get('etag');
    const again = await fetch(server.url, { headers: { Accept, 'If-None-Match': etag } });
    assert.equal(again.status, 304);
    assert.equal(again.headers.get('etag'), etag);
    assert.equal(
        again.headers.get('content-security-policy'),
        first.headers.get('content-security-policy'),
    );
    await server.stop();
});
