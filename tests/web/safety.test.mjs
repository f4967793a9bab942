/* safety.test.mjs: what a model writes can do nothing, and nothing leaves the device. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, quit } from './browser.mjs';

before(launch);
after(quit);

test('hostile markdown is text', async () => {
    const t = await open();
    await t.ask('#evil');
    const body = t.last('.body');
    await body.hover();
    assert.equal(await t.page.evaluate(() => window.hacked), undefined);
    const tags = await body.evaluate((e) => [
        ...new Set([...e.querySelectorAll('*')].map((x) => x.tagName)),
    ]);
    const bad = tags.filter((x) =>
        /^(SCRIPT|IMG|SVG|STYLE|IFRAME|FORM|INPUT|LINK|BASE|OBJECT|EMBED)$/i.test(x),
    );
    assert.deepEqual(bad, []);
    const attributes = await body.evaluate((e) =>
        [...e.querySelectorAll('*')].flatMap((x) => [...x.attributes].map((a) => a.name)),
    );
    assert.deepEqual(
        attributes.filter((a) => a.startsWith('on') || a === 'style' || a === 'src'),
        [],
    );
    const links = await body.evaluate((e) =>
        [...e.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.target, a.rel]),
    );
    assert.deepEqual(links, [['https://good.example/', '_blank', 'noopener noreferrer nofollow']]);
    const text = await body.innerText();
    assert.ok(
        text.includes('<script>window.hacked = 1</script>'),
        'nothing that was written is hidden',
    );
    assert.ok(text.includes('[picture: picture]'));
    assert.ok(text.includes('Use the <div> element'));
    await t.shot('hostile');
    await t.close(); // which asserts that no request left
});

test('markdown that is nested too deeply', async () => {
    const t = await open();
    await t.ask('#deep');
    assert.ok((await t.last('.body').innerText()).endsWith('deep'));
    await t.ask('still there?');
    await t.has('You said: still there?');
    await t.close();
});

test('a hostile name of a conversation, of a model, of an option', async () => {
    const t = await open({ state: { models: ['<img src=x onerror=alert(1)>'] } });
    await t.ask('<img src=x onerror=alert(1)>');
    assert.equal(await t.page.locator('img[src=x]').count(), 0);
    assert.equal(await t.page.title(), '<img src=x onerror=alert(1)> – Verge');
    await t.close();
});

test('the headers forbid what the page does not need', async () => {
    const t = await open();
    const { headers } = await t.page.evaluate(async () => {
        const r = await fetch('');
        return { headers: Object.fromEntries(r.headers) };
    });
    assert.match(headers['content-security-policy'], /default-src 'self'.*frame-ancestors 'none'/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    /* They hold: a script inside the HTML and a request elsewhere are refused. */
    const tried = await t.page.evaluate(async () => {
        const s = document.createElement('script');
        try {
            s.textContent = 'window.ran = 1';
        } catch (e) {
            return e.name;
        }
        document.head.append(s);
        return window.ran;
    });
    assert.equal(tried, 'TypeError');
    while (t.errors.length < 2) await new Promise(setImmediate); // the browser and our listener
    t.errors.length = 0;
    await t.close();
});
