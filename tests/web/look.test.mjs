/* look.test.mjs: both themes, the narrow screen, the live view, and axe's rules of accessibility on
 * each of them. Screenshots go to build/web-test/shots, to be looked at by people. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AXE, launch, open, quit } from './browser.mjs';

before(launch);
after(quit);

/* The rules that axe calls failures of WCAG 2.2 A and AA, and its good practice. */
async function accessible(t, what) {
    await t.page.evaluate(() => window.axe || true);
    if (!(await t.page.evaluate(() => Boolean(window.axe)))) {
        const { readFileSync } = await import('node:fs');
        const source = readFileSync(AXE, 'utf8');
        const client = await t.context.newCDPSession(t.page); // past the page's own headers
        await client.send('Runtime.evaluate', { expression: source });
    }
    const { violations } = await t.page.evaluate(() => window.axe.run());
    const found = violations.map(
        (v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`)}`,
    );
    assert.deepEqual(found, [], what);
}

async function noSideways(t, what) {
    const [wide, narrow] = await t.page.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
    ]);
    assert.ok(wide <= narrow, `${what}: ${wide} wide on ${narrow}`);
    const out = await t.page.evaluate(() =>
        [...document.querySelectorAll('body *')]
            .filter(
                (e) =>
                    e.checkVisibility() && !e.closest('.wide-table, pre, .unseen, .skip, .uplot'),
            )
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
            .map((e) => e.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(out, [], what);
}

for (const dark of [false, true])
    test(`the chat, ${dark ? 'dark' : 'light'}`, async () => {
        const name = dark ? 'dark' : 'light';
        const t = await open({ dark, still: true });
        assert.equal(await t.page.evaluate(() => document.documentElement.dataset.theme), name);
        await t.shot(`empty-${name}`);
        await accessible(t, 'empty');
        await t.ask('#code');
        await t.ask('#think');
        await t.ask('#cut');
        await t.page.click('#options-toggle');
        await accessible(t, 'conversation and options');
        await t.shot(`chat-${name}-options`);
        await t.page.click('text=Rename');
        await accessible(t, 'dialog');
        await t.shot(`dialog-${name}`);
        await t.close();
    });

test('the theme can be chosen and stays', async () => {
    const t = await open({ dark: true });
    const theme = () => t.page.evaluate(() => document.documentElement.dataset.theme);
    const label = () => t.page.getAttribute('#theme', 'aria-label');
    assert.equal(await label(), 'Theme: as the system');
    await t.page.click('#theme');
    assert.deepEqual([await theme(), await label()], ['light', 'Theme: light']);
    await t.page.reload();
    assert.equal(await theme(), 'light');
    await t.page.click('#theme');
    assert.equal(await theme(), 'dark');
    await t.page.click('#theme');
    await t.page.emulateMedia({ colorScheme: 'light' });
    await t.page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
    await t.close();
});

for (const width of [320, 360])
    test(`a phone of ${width} px`, async () => {
        const t = await open({ width, height: 720, touch: true, dark: width === 360, still: true });
        const send = async (text) => {
            await t.page.fill('#input', text);
            await t.page.tap('#send');
            await t.page.waitForSelector('#send.stop');
            await t.idle();
        };
        await t.shot(`phone-${width}-empty`);
        await send('#code');
        await send(`${'averyveryverylongword'.repeat(10)} #think`);
        await noSideways(t, 'conversation');
        await accessible(t, 'conversation');
        await t.shot(`phone-${width}-chat`);
        await t.page.tap('#list-toggle');
        await noSideways(t, 'list');
        await accessible(t, 'list');
        await t.shot(`phone-${width}-list`);
        await t.page.tap('#new');
        assert.equal(await t.page.isVisible('#list'), false);
        await t.page.tap('#options-toggle');
        await noSideways(t, 'options');
        await t.shot(`phone-${width}-options`);
        await t.page.tap('#options-close');
        await t.page.fill('#input', 'one line');
        await t.page.press('#input', 'Enter'); // a screen keyboard has no Shift+Enter
        assert.equal(await t.page.inputValue('#input'), 'one line\n');
        await t.page.tap('#tab-engine');
        await t.page.waitForSelector('.plot canvas >> nth=7');
        await noSideways(t, 'engine');
        await t.shot(`phone-${width}-engine`);
        await t.close();
    });

for (const dark of [false, true])
    test(`the live view, ${dark ? 'dark' : 'light'}`, async () => {
        const t = await open({ dark, hash: '#engine', height: 1000, state: { feed_ms: 20 } });
        await t.page.waitForFunction(
            () => document.getElementById('live-state').textContent === 'Live',
        );
        await t.page.waitForSelector('.plot canvas >> nth=7');
        assert.match(await t.text('figure >> nth=0'), /Tokens written\s+all answers \d+\S*\/s/);
        await t.page.waitForSelector('#live-models >> text=qwen3-0.6b-q4');
        assert.match(
            await t.text('#live-models tbody tr >> nth=0'),
            /stories-15M\s+ready\s+17 MiB\s+2048 tokens/,
        );
        assert.equal(await t.text('#total-errors_total'), '3');
        await t.page.click('#table summary');
        await t.page.waitForSelector('#table-body tbody tr');
        assert.equal(await t.page.locator('#table-body tbody tr').count(), 13);
        assert.match(
            await t.text('#table-body tr >> nth=1'),
            /^Tokens written: all answers\s+\S+\/s/,
        );
        const colors = await t.page.evaluate(() => {
            const c = document.querySelector('canvas');
            const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            return new Set(
                Array.from(
                    { length: data.length / 4 },
                    (_, i) => (data[4 * i] << 8) | data[4 * i + 3],
                ),
            ).size;
        });
        assert.ok(colors > 3, 'something is drawn');
        await accessible(t, 'engine');
        await t.page.evaluate(() => (document.getElementById('engine-view').scrollTop = 0));
        await t.shot(`engine-${dark ? 'dark' : 'light'}`);
        await t.page.click('#theme');
        await t.page.selectOption('#span', '600');
        await t.page.waitForSelector('.plot canvas >> nth=7');
        await t.close();
    });

test('the live view connects again by itself', async () => {
    const t = await open({ hash: '#engine', state: { feed_ms: 20 } });
    const state = (text) =>
        t.page.waitForFunction(
            (x) => document.getElementById('live-state').textContent === x,
            text,
        );
    await state('Live');
    for (const res of t.mock.state.feeds) res.destroy();
    await state('No connection; trying again');
    await state('Live');
    await t.mock.close();
    await state('No connection; trying again');
    await t.has('The server does not answer.');
    assert.match(await t.text('figure >> nth=0'), /all answers –$/m, 'no figure is old');
    await t.shot('engine-gone');
    await t.mock.listen();
    await state('Live');
    await t.close();
});
