/* storage.test.mjs: conversations stay in the browser: over a reload, in two windows, in files, and
 * what happens where the browser has no room. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launch, open, page, quit } from './browser.mjs';

before(launch);
after(quit);

const ready = (p) => p.waitForFunction(() => !document.getElementById('model').disabled);
const names = (t) => t.page.locator('#talks .talk').allInnerTexts();

test('everything is there after a reload', async () => {
    const t = await open();
    await t.ask('first conversation');
    await t.page.click('#new');
    await t.ask('second conversation');
    await t.page.fill('#input', 'half a thought');
    await t.page.click('#options-toggle');
    await t.page.fill('#option-temperature', '0.3');
    await t.page.reload();
    await ready(t.page);
    await t.has('You said: second conversation');
    assert.equal(await t.page.inputValue('#input'), 'half a thought');
    assert.deepEqual(await names(t), ['second conversation', 'first conversation']);
    assert.equal(await t.page.inputValue('#option-temperature'), '0.3');
    await t.page.click('text=first conversation');
    await t.has('You said: first conversation');
    assert.equal(await t.page.inputValue('#input'), '');
    await t.close();
});

test('a page that closes in the middle of an answer', async () => {
    const t = await open();
    await t.say('#slow');
    await t.last('.body').getByText('Once').waitFor();
    await t.page.reload();
    await ready(t.page);
    await t.has('The page was closed while it was written.');
    await t.close();
});

test('rename, delete', async () => {
    const t = await open();
    await t.ask('one');
    await t.page.click('#new');
    await t.ask('two');
    await t.page.click('text=Rename');
    await t.page.fill('#ask-title', '');
    await t.page.keyboard.press('Enter');
    await t.has('It needs a name.');
    await t.page.fill('#ask-title', 'A better name');
    await t.page.keyboard.press('Enter');
    await t.page.waitForSelector('#talks >> text=A better name');
    await t.page.click('#talks >> text=Delete');
    await t.page.keyboard.press('Escape');
    assert.deepEqual(await names(t), ['A better name', 'one']);
    await t.page.click('#talks >> text=Delete');
    await t.page.click('dialog >> text=Delete >> nth=-1');
    await t.page.waitForFunction(() => document.querySelectorAll('#talks .talk').length === 1);
    await t.page.reload();
    await ready(t.page);
    assert.deepEqual(await names(t), ['one']);
    await t.close();
});

test('export and import', async () => {
    const t = await open();
    await t.ask('keep me');
    await t.page.click('text=Regenerate');
    await t.idle();
    const [file] = await Promise.all([t.page.waitForEvent('download'), t.page.click('#export')]);
    const text = readFileSync(await file.path(), 'utf8');
    assert.equal(JSON.parse(text).conversations[0].nodes.length, 3);

    const put = (content) =>
        t.page.setInputFiles('#import-file', {
            name: 'x.json',
            mimeType: 'application/json',
            buffer: Buffer.from(content),
        });
    await put(text);
    await t.has('One conversation imported.');
    assert.deepEqual(await names(t), ['keep me', 'keep me']);
    const bad = {
        'no json': 'The file is no JSON.',
        '{"a": 1}': 'no export of Verge conversations',
        '{"format": "verge-conversations", "version": 9, "conversations": []}': 'has version 9',
        '{"format": "verge-conversations", "version": 1, "conversations": [{"nodes": [{"id": "a"}]}]}':
            'Conversation 1 of the file is damaged.',
        '{"format": "verge-conversations", "version": 1, "conversations": [{"nodes": [{"id": "a", "parent": "a", "role": "user", "content": ""}]}]}':
            'Conversation 1 of the file is damaged.',
        '{"format": "verge-conversations", "version": 1, "conversations": [null]}':
            'One conversation',
    };
    for (const [content, said] of Object.entries(bad)) {
        await put(content);
        await t.has(said);
    }
    assert.equal((await names(t)).length, 3);
    await t.close();
});

test('a full storage is said, and the conversation goes on', async () => {
    const t = await open({
        before: () => {
            const put = IDBObjectStore.prototype.put;
            IDBObjectStore.prototype.put = function (...args) {
                if (window.full) throw new DOMException('full', 'QuotaExceededError');
                return put.apply(this, args);
            };
        },
    });
    await t.ask('while there is room');
    await t.page.evaluate(() => (window.full = true));
    await t.ask('more');
    await t.has('storage for the page is full');
    await t.has('You said: more');
    await t.page.click('#new');
    await t.ask('another');
    await t.page.click('#talks >> text=while there is room');
    await t.has('You said: more');
    await t.shot('full');
    await t.page.evaluate(() => (window.full = false));
    await t.ask('room again');
    await t.page.click('#talks >> text=another');
    await t.ask('and here');
    await t.page.waitForFunction(() => !document.querySelector('[data-notice=storage]'));
    await t.page.reload();
    await ready(t.page);
    await t.has('You said: and here');
    await t.close();
});

test('no storage at all', async () => {
    const t = await open({
        before: () => {
            Object.defineProperty(window, 'indexedDB', { get: () => undefined });
            for (const name of ['localStorage', 'sessionStorage'])
                Object.defineProperty(window, name, {
                    get() {
                        throw new DOMException('no', 'SecurityError');
                    },
                });
        },
    });
    await t.has('This browser keeps no data for this page');
    await t.ask('hello');
    await t.has('You said: hello');
    await t.page.click('#new');
    await t.page.click('#talks >> text=hello');
    await t.has('You said: hello');
    await t.close();
});

test('two windows', async () => {
    const t = await open();
    await t.ask('from the first');
    const second = await page(t);
    await second.goto(t.url);
    await ready(second);
    await second.getByText('You said: from the first').waitFor();
    await second.fill('#input', 'from the second');
    await second.press('#input', 'Enter');
    await t.has('You said: from the second');
    await t.close();
});
