/* browser.mjs: what the tests of the page share: a browser, a page on a server of its own, and what
 * must hold in every test: no request to another host, nothing that the page's own headers forbid,
 * no error of the page's code.
 *
 *     const t = await open({ width: 360 });
 *     await t.say('hello');
 *     await t.close();
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { start } from './mock.mjs';

const require = createRequire(`${process.env.WEB_MODULES}/`);
const { chromium } = require('playwright-core');
export const AXE = require.resolve('axe-core/axe.min.js');
const SHOTS = process.env.WEB_SHOTS;
mkdirSync(SHOTS, { recursive: true });

let browser = null;

export async function launch() {
    browser = await chromium.launch({
        executablePath: process.env.WEB_BROWSER,
        args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
}

/* A test that failed has left its server open. */
const servers = new Set();
export async function quit() {
    await browser.close();
    for (const s of servers) await s.close();
}

/* before(page) runs before the page is opened, its function also inside it. */
export async function open(options = {}) {
    const { width = 1200, height = 800, dark = false, touch = false, before, hash = '' } = options;
    const mock = await start();
    servers.add(mock);
    Object.assign(mock.state, options.state);
    const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: dark ? 'dark' : 'light',
        reducedMotion: options.still ? 'reduce' : 'no-preference',
        hasTouch: touch,
        isMobile: touch,
        permissions: ['clipboard-read', 'clipboard-write'],
    });
    const t = { mock, context, errors: [], url: options.url || mock.url };
    t.page = await page(t, before);
    await t.page.goto(t.url + hash);
    await t.page.waitForFunction(
        () => !document.getElementById('model').disabled || window.expectNoModel,
    );

    t.say = async (text) => {
        await t.page.fill('#input', text);
        await t.page.press('#input', 'Enter');
    };
    t.idle = () => t.page.waitForSelector('#send:not(.stop)');
    t.ask = async (text) => {
        await t.say(text);
        await t.idle();
    };
    t.last = (what = '') => t.page.locator(`.message.assistant >> nth=-1 ${what && `>> ${what}`}`);
    t.text = (selector) => t.page.locator(selector).innerText();
    t.has = (text) => t.page.getByText(text).last().waitFor();
    t.shot = (name) => t.page.screenshot({ path: `${SHOTS}/${name}.png` });
    t.close = async () => {
        await context.close();
        servers.delete(mock);
        await mock.close();
        assert.deepEqual(t.errors, []);
    };
    return t;
}

/* One more page of the same browser profile. */
export async function page(t, before) {
    const p = await t.context.newPage();
    p.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(t.url) && !url.startsWith('blob:')) t.errors.push(`request to ${url}`);
    });
    p.on('pageerror', (e) => t.errors.push(`${e.message} ${e.stack}`));
    p.on('console', (message) => {
        const text = message.text();
        if (message.type() === 'error' && !/^Failed to load resource/.test(text))
            t.errors.push(text);
    });
    await p.addInitScript(() =>
        document.addEventListener('securitypolicyviolation', (e) =>
            console.error(`forbidden: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`),
        ),
    );
    if (before) await p.addInitScript(before);
    return p;
}
