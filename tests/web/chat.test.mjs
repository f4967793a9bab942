/* chat.test.mjs: talking: streams, stop, another answer, edits, copies, options, and the keyboard. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, quit } from './browser.mjs';

before(launch);
after(quit);

const last = (list) => list.at(-1);

test('an answer streams, with its figures', async () => {
    const t = await open();
    await t.say('#slow please');
    await t.last('.body').getByText('Once upon').waitFor();
    assert.equal(await t.text('#send'), 'Stop');
    const some = await t.last('.body').innerText();
    await t.page.waitForFunction(
        (n) => document.querySelector('.assistant .body').innerText.length > n,
        some.length,
    );
    assert.match(await t.last('.stats').innerText(), /first token .* tokens\/s · \d+ tokens/);
    await t.page.click('#send');
    await t.idle();
    const { messages, stream, model } = last(t.mock.state.requests);
    assert.deepEqual(messages, [{ role: 'user', content: '#slow please' }]);
    assert.equal(stream, true);
    assert.equal(model, 'stories-15M');
    await t.close();
});

test('Escape stops, the server sees it, and what came is kept', async () => {
    const t = await open();
    await t.say('#slow');
    await t.last('.body').getByText('Once').waitFor();
    await t.page.keyboard.press('Escape');
    await t.idle();
    await t.has('You stopped it here.');
    const text = await t.last('.body').innerText();
    assert.ok(text.startsWith('Once'));
    while (t.mock.state.running) await new Promise(setImmediate);
    assert.equal(t.mock.state.cancelled, 1);
    await t.ask('and then?');
    const { messages } = last(t.mock.state.requests);
    assert.deepEqual(
        messages.map((m) => m.role),
        ['user', 'assistant', 'user'],
    );
    assert.equal(messages[1].content.trim(), text.trim());
    await t.close();
});

test('characters that arrive in pieces', async () => {
    const t = await open();
    await t.ask('#unicode');
    assert.equal(await t.last('.body').innerText(), 'Grüße 👩‍👩‍👧 你好 مرحبا');
    await t.close();
});

test('markdown: headings, table, code with a copy button', async () => {
    const t = await open();
    await t.ask('#code');
    assert.equal(await t.last('table tbody tr').count(), 3);
    assert.equal(await t.last('td[align=right]').count(), 6, 'columns are aligned');
    assert.equal(await t.last('.code .bar span >> nth=0').innerText(), 'c');
    assert.equal(await t.last('.body h3').innerText(), 'What it costs');
    await t.last('.code .bar button').click();
    const copied = await t.page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.startsWith('/* The sum of n values') && copied.endsWith('return s;\n}'));
    await t.last('[aria-label="Copy the message"]').click();
    await t.has('Copied');
    assert.match(
        await t.page.evaluate(() => navigator.clipboard.readText()),
        /^Here is the sum[^]*```c/,
    );
    await t.shot('chat-light');
    await t.page.evaluate(() => (document.getElementById('scroll').scrollTop = 0));
    await t.shot('chat-light-top');
    await t.close();
});

test('copying works on a page that came over plain HTTP', async () => {
    const t = await open({
        before: () => Object.defineProperty(navigator, 'clipboard', { value: undefined }),
    });
    await t.ask('copy this');
    await t.last('[aria-label="Copy the message"]').click();
    await t.has('Copied');
    await t.page.focus('#input');
    await t.page.keyboard.press('Control+V');
    assert.equal(await t.page.inputValue('#input'), 'You said: copy this');
    await t.close();
});

test('reasoning is folded', async () => {
    const t = await open();
    await t.ask('#think');
    assert.equal(await t.last('.thoughts').isVisible(), false);
    await t.last('.reasoning summary').click();
    assert.match(await t.last('.thoughts').innerText(), /^The person wants a story/);
    assert.match(await t.last('.body').innerText(), /^Once upon/);
    await t.ask('next');
    assert.equal(last(t.mock.state.requests).messages[1].reasoning_content, undefined);
    await t.close();
});

test('another answer stands beside the first', async () => {
    const t = await open();
    await t.ask('hello');
    await t.page.click('text=Regenerate');
    await t.idle();
    await t.has('2 of 2');
    assert.equal(last(t.mock.state.requests).messages.length, 1);
    await t.page.click('[aria-label="The version before"]');
    await t.has('1 of 2');
    await t.close();
});

test('an edited message is sent again, and the old one is kept', async () => {
    const t = await open();
    await t.ask('first');
    await t.ask('second');
    await t.page.locator('[aria-label="Edit the message"]').first().click();
    await t.page.fill('.edit', 'changed');
    await t.page.keyboard.press('Escape');
    assert.equal(await t.page.locator('.message').count(), 4, 'Escape leaves all as it was');
    await t.page.locator('[aria-label="Edit the message"]').first().click();
    await t.page.fill('.edit', 'changed');
    await t.page.click('text=Send again');
    await t.has('You said: changed');
    await t.idle();
    assert.equal(await t.page.locator('.message').count(), 2);
    assert.deepEqual(last(t.mock.state.requests).messages, [{ role: 'user', content: 'changed' }]);
    await t.page.click('[aria-label="The version before"]');
    await t.has('You said: second');
    assert.equal(await t.page.locator('.message').count(), 4);
    await t.close();
});

test('options are sent when they are set, and said when they are wrong', async () => {
    const t = await open();
    await t.page.click('#options-toggle');
    const set = {
        temperature: '0.5',
        top_p: '0.9',
        top_k: '40',
        min_p: '0.05',
        max_tokens: '64',
        seed: '7',
    };
    for (const [name, value] of Object.entries(set)) await t.page.fill(`#option-${name}`, value);
    await t.page.fill('#option-system', 'Be short.');
    await t.page.fill('#option-stop', 'END\nSTOP');
    await t.page.fill('#option-schema', '{"type": "object"}');
    await t.page.selectOption('#model', 'qwen3-0.6b-q4');
    await t.ask('hi');
    const r = last(t.mock.state.requests);
    assert.equal(r.model, 'qwen3-0.6b-q4');
    for (const [name, value] of Object.entries(set)) assert.equal(r[name], Number(value));
    assert.deepEqual(r.messages[0], { role: 'system', content: 'Be short.' });
    assert.deepEqual(r.stop, ['END', 'STOP']);
    assert.deepEqual(r.response_format.json_schema.schema, { type: 'object' });

    await t.page.fill('#option-temperature', 'hot');
    assert.equal(await t.page.getAttribute('#option-temperature', 'aria-invalid'), 'true');
    await t.say('again');
    await t.has('The option “Temperature” has a value that cannot be.');
    assert.equal(await t.page.inputValue('#input'), 'again', 'the text stays');
    assert.equal(t.mock.state.requests.length, 1);
    await t.shot('options');
    await t.page.click('text=The server’s choice for all');
    await t.page.press('#input', 'Enter');
    await t.idle();
    assert.deepEqual(Object.keys(last(t.mock.state.requests)).sort(), [
        'messages',
        'model',
        'stream',
        'stream_options',
    ]);
    await t.close();
});

test('a long answer keeps the page quick and the newest text in sight', async () => {
    const t = await open();
    await t.say('#long');
    await t.last('.body').getByText('Paragraph 30 ').waitFor();
    const first = await t.last('.body > p >> nth=0').elementHandle();
    await t.page.mouse.move(700, 300);
    await t.page.mouse.wheel(0, -4000);
    await t.page.waitForSelector('#newest:not([hidden])');
    const top = await t.page.evaluate(() => document.getElementById('scroll').scrollTop);
    await t.last('.body').getByText('Paragraph 100 ').waitFor();
    assert.equal(await t.page.evaluate(() => document.getElementById('scroll').scrollTop), top);
    assert.ok(await first.evaluate((e) => e.isConnected), 'what is settled is not drawn again');
    await t.page.click('#newest');
    await t.idle();
    assert.ok(await t.last('.body > p >> nth=219').isVisible());
    await t.close();
});

test('two conversations answer at once', async () => {
    const t = await open();
    await t.say('#slow');
    await t.last('.body').getByText('Once').waitFor();
    await t.page.click('#new');
    await t.ask('other');
    assert.equal(t.mock.state.running, 1);
    await t.page.click('#talks >> text=#slow');
    await t.last('.body').getByText('Once').waitFor();
    assert.equal(await t.text('#send'), 'Stop');
    await t.page.click('#send');
    await t.idle();
    await t.close();
});

test('by keyboard alone', async () => {
    const t = await open();
    const { page } = t;
    const focus = () =>
        page.evaluate(() => document.activeElement.id || document.activeElement.innerText);
    assert.equal(await focus(), 'input');
    await page.keyboard.type('first line');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('second line');
    await page.keyboard.press('Enter');
    await t.has('You said: first line');
    await t.idle();
    assert.equal(last(t.mock.state.requests).messages[0].content, 'first line\nsecond line');
    assert.equal(await focus(), 'input');

    await page.evaluate(() => {
        document.body.tabIndex = -1;
        document.body.focus();
    });
    await page.keyboard.press('Tab');
    assert.equal(await focus(), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await focus(), 'input');

    /* Backwards from the field: every control is reached, and each shows its focus. */
    const seen = new Set();
    for (let i = 0; i < 40; i++) {
        await page.keyboard.press('Shift+Tab');
        const [name, visible] = await page.evaluate(() => {
            const e = document.activeElement;
            const style = getComputedStyle(e);
            return [
                e.id || e.getAttribute('aria-label') || e.innerText,
                e === document.body
                    || (style.outlineStyle !== 'none' && style.outlineWidth !== '0px'),
            ];
        });
        assert.ok(visible, `${name} shows its focus`);
        seen.add(name);
    }
    for (const name of [
        'Regenerate',
        'Edit the message',
        'scroll',
        'new',
        'export',
        'import',
        'theme',
        'options-toggle',
        'tab-engine',
    ])
        assert.ok(seen.has(name), `${name} is reached`);

    await page.focus('#options-toggle');
    await page.keyboard.press('Enter');
    assert.equal(await page.isVisible('#options'), true);
    await page.keyboard.press('Escape');
    assert.equal(await page.isVisible('#options'), false);
    assert.equal(await focus(), 'options-toggle');
    await t.close();
});

test('those who do not see hear the answer once, not in pieces', async () => {
    const t = await open({
        before: () => {
            window.said = [];
            addEventListener('DOMContentLoaded', () =>
                new MutationObserver(() => {
                    const text = document.getElementById('announce').textContent;
                    if (text) window.said.push(text);
                }).observe(document.getElementById('announce'), { childList: true }),
            );
        },
    });
    await t.ask('hello');
    await t.page.waitForFunction(() => window.said.length >= 2);
    assert.deepEqual(await t.page.evaluate(() => window.said), [
        'The answer is being written.',
        'Answer: You said: hello',
    ]);
    assert.equal(await t.page.locator('#messages [aria-live], #messages[aria-live]').count(), 0);
    await t.close();
});
