/* errors.test.mjs: what goes wrong is said precisely, and nothing that was typed or answered is
 * lost. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, quit } from './browser.mjs';

before(launch);
after(quit);

test('a key is asked for, tried, and kept for the session', async () => {
    const t = await open({ state: { key: 'secret' }, before: () => (window.expectNoModel = true) });
    await t.page.waitForSelector('dialog');
    await t.shot('key');
    await t.page.fill('#ask-key', 'two words');
    await t.page.click('text=Use this key');
    await t.has('without blanks');
    await t.page.fill('#ask-key', 'wrong');
    await t.page.keyboard.press('Enter');
    await t.has('no such key');
    await t.page.waitForFunction(() => document.getElementById('ask-key')?.value === '');
    await t.page.fill('#ask-key', 'secret');
    await t.page.keyboard.press('Enter');
    await t.page.waitForFunction(() => !document.getElementById('model').disabled);
    await t.ask('hello');
    await t.has('You said: hello');
    const stored = () =>
        t.page.evaluate(() => [
            sessionStorage.getItem('verge-key'),
            localStorage.getItem('verge-key'),
        ]);
    assert.deepEqual(await stored(), ['secret', null]);
    await t.page.reload();
    await t.page.waitForFunction(() => !document.getElementById('model').disabled);

    t.mock.state.key = 'newer'; // the key is changed on the server: a message asks for it
    await t.say('and now?');
    await t.page.fill('#ask-key', 'newer');
    await t.page.check('#ask-keep');
    await t.page.keyboard.press('Enter');
    await t.has('You said: and now?');
    assert.deepEqual(await stored(), [null, 'newer']);
    await t.close();
});

test('without a key the message stays', async () => {
    const t = await open();
    t.mock.state.key = 'secret';
    await t.say('precious text');
    await t.page.waitForSelector('dialog');
    await t.page.keyboard.press('Escape');
    await t.last('.mark.bad').getByText('wants an API key').waitFor();
    assert.ok(await t.page.locator('.message.user').getByText('precious text').isVisible());
    t.mock.state.key = '';
    await t.page.click('text=Try again');
    await t.has('You said: precious text');
    assert.equal(await t.page.locator('.message').count(), 2);
    await t.close();
});

test('a busy server: the wait is counted down, then it is asked again', async () => {
    const t = await open();
    await t.say('#429');
    await t.has(
        /The server has too much to do. The server says: the queue is full\. Asking again in [12] s/,
    );
    await t.shot('busy');
    await t.last('.body').getByText('Once upon').waitFor();
    await t.idle();
    assert.equal(t.mock.state.requests.length, 2);
    await t.say('#always429');
    await t.has(/Asking again in (30|29|28) s/);
    await t.page.keyboard.press('Escape');
    await t.idle();
    await t.has('You stopped it here.');
    await t.close();
});

const SAID = {
    '#413': 'This is more text than the server takes at once. The server says: the body has more than',
    '#context': 'The conversation is longer than the model’s context',
    '#400': 'The server refused: temperature: 9 is above 2',
    '#html': 'The server answered with HTTP status 502.',
    '#garbage': 'The server sent what is no JSON.',
};
for (const [play, text] of Object.entries(SAID))
    test(`${play} is said, and can be tried again`, async () => {
        const t = await open();
        await t.ask(`${play} typed`);
        await t.last('.mark.bad').getByText(text).waitFor();
        assert.ok(await t.page.getByText('Try again').isVisible());
        await t.ask('go on');
        assert.deepEqual(t.mock.state.requests.at(-1).messages, [
            { role: 'user', content: `${play} typed\n\ngo on` },
        ]);
        await t.close();
    });

test('an answer that is cut off is kept and marked', async () => {
    const t = await open();
    await t.ask('#cut');
    assert.match(await t.last('.body').innerText(), /^Once upon/);
    await t.has('It is cut off here. The connection broke before the answer was complete.');
    await t.ask('#midway');
    await t.has('It is cut off here. The server failed: the engine stopped');
    await t.ask('#length');
    await t.has('It ends here: the limit of tokens');
    await t.shot('errors');
    await t.close();
});

test('a server that goes away and comes back', async () => {
    const t = await open();
    await t.say('#slow');
    await t.last('.body').getByText('Once').waitFor();
    await t.mock.close();
    await t.has('It is cut off here.');
    await t.has('The server does not answer. What is on this page stays');
    await t.ask('typed while it is away');
    await t.last('.mark.bad').getByText('The server does not answer.').waitFor();
    await t.shot('gone');
    await t.mock.listen();
    await t.page.waitForFunction(() => !document.querySelector('[data-notice=server]'));
    await t.page.click('text=Try again');
    await t.has('You said: typed while it is away');
    await t.close();
});
