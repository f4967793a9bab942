/* api.js: the only file that speaks to the server: the key, requests, streams, and what went wrong
 * as a Problem with a sentence for the person. Paths are relative to the page, so it also works
 * behind a proxy that serves it below a folder. */

const url = (path) => new URL(path, new URL('.', location.href));

/* kind: 'gone' (no connection), 'cut' (it broke in the middle), 'key', 'busy' (wait_s says how long
 * to wait), 'large', 'context', 'refused', 'stopped' (by the person). */
export class Problem extends Error {
    constructor(kind, text, wait_s = 0) {
        super(text);
        this.kind = kind;
        this.wait_s = wait_s;
    }
}

const GONE = 'The server does not answer. Either it has stopped or the way to it is broken.';
const CUT = 'The connection broke before the answer was complete.';

/* ---- the key ------------------------------------------------------------------------------ */

/* Kept until the window closes, unless the person wants it kept for good. */
export const key = {
    now: null,
    get() {
        if (this.now === null) {
            try {
                this.now =
                    sessionStorage.getItem('verge-key') || localStorage.getItem('verge-key') || '';
            } catch {
                this.now = '';
            }
        }
        return this.now;
    },
    set(value, keep) {
        this.now = value;
        try {
            sessionStorage.removeItem('verge-key');
            localStorage.removeItem('verge-key');
            if (value) (keep ? localStorage : sessionStorage).setItem('verge-key', value);
        } catch {
            /* It then holds until the page is closed. */
        }
    },
};

/* ---- requests ----------------------------------------------------------------------------- */

/* Seconds until a Retry-After, which is a number or a date (RFC 9110, 10.2.3). */
function waitOf(response) {
    const value = response.headers.get('Retry-After');
    if (!value) return 0;
    const s = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
    return Number.isFinite(s) ? Math.min(Math.max(Math.ceil(s), 1), 3600) : 0;
}

function problemOf(status, error, wait_s) {
    const said = typeof error === 'string' ? error : error?.message || '';
    const tail = said ? ` The server says: ${said.replace(/\.$/, '')}.` : '';
    const code = `${error?.code ?? ''} ${error?.type ?? ''}`;
    if (status === 401 || status === 403)
        return new Problem('key', `The server wants an API key that it knows.${tail}`);
    if (/context/i.test(code) || (status === 413 && /context/i.test(said)))
        return new Problem(
            'context',
            'The conversation is longer than the model’s context. Begin a new '
                + `one, or edit an earlier message.${tail}`,
        );
    if (status === 413)
        return new Problem('large', `This is more text than the server takes at once.${tail}`);
    if (status === 429 || status === 503)
        return new Problem(
            'busy',
            status === 429
                ? `The server has too much to do.${tail}`
                : `The server cannot answer just now.${tail}`,
            wait_s || 5,
        );
    const verb = status >= 500 ? 'failed' : 'refused';
    return new Problem(
        'refused',
        said ? `The server ${verb}: ${said}` : `The server answered with HTTP status ${status}.`,
    );
}

async function refusal(response) {
    let error = '';
    try {
        const text = await response.text();
        error = response.headers.get('Content-Type')?.includes('json')
            ? JSON.parse(text).error
            : '';
    } catch {
        /* The status says enough. */
    }
    return problemOf(response.status, error, waitOf(response));
}

async function call(path, { body, signal } = {}) {
    const headers = {};
    if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    let response;
    try {
        response = await fetch(url(path), {
            method: body === undefined ? 'GET' : 'POST',
            headers,
            signal,
            body: body === undefined ? undefined : JSON.stringify(body),
            cache: 'no-store',
        });
    } catch {
        throw new Problem(signal?.aborted ? 'stopped' : 'gone', GONE);
    }
    if (!response.ok) throw await refusal(response);
    return response;
}

/* Names of the models, the preferred one first. */
export async function models(signal) {
    const response = await call('v1/models', { signal });
    try {
        return (await response.json()).data.map((m) => String(m.id));
    } catch {
        throw new Problem('refused', 'The server’s list of models cannot be read.');
    }
}

/* True where a server answers at all, be it with an error. */
export async function isThere() {
    try {
        await fetch(url('health'), { cache: 'no-store', signal: AbortSignal.timeout(5000) });
        return true;
    } catch {
        return false;
    }
}

/* ---- streams ------------------------------------------------------------------------------ */

/* The data of each server-sent event. A device that loses its power does not close connections, so
 * after silence the server is asked whether it is still there; a long prompt may be silent too. */
async function* events(response, controller) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = '',
        data = [],
        heard = Date.now(),
        missed = 0;
    const watch = setInterval(async () => {
        if (Date.now() - heard < 15000) return;
        missed = (await isThere()) ? 0 : missed + 1;
        if (missed >= 2) controller.abort();
    }, 10000);
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            heard = Date.now();
            const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
            rest = lines.pop();
            for (let line of lines) {
                if (line.endsWith('\r')) line = line.slice(0, -1);
                if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
                else if (line === '' && data.length) {
                    yield data.join('\n');
                    data = [];
                }
            }
        }
    } finally {
        clearInterval(watch);
        reader.cancel().catch(() => {});
    }
}

/* Opens a stream of JSON. The inner controller lets the watch end what the person did not stop. */
async function* stream(path, options) {
    const controller = new AbortController();
    const stop = () => controller.abort();
    if (options.signal.aborted) stop();
    options.signal.addEventListener('abort', stop);
    let begun = false;
    try {
        const response = await call(path, { ...options, signal: controller.signal });
        for await (const data of events(response, controller)) {
            begun = true;
            if (data === '[DONE]') return;
            yield JSON.parse(data);
        }
        throw new Problem('cut', CUT);
    } catch (e) {
        if (options.signal.aborted) throw new Problem('stopped', '');
        if (e instanceof SyntaxError) throw new Problem('cut', 'The server sent what is no JSON.');
        if (e instanceof Problem && e.kind !== 'stopped') throw e;
        throw new Problem(begun ? 'cut' : 'gone', begun ? CUT : GONE);
    } finally {
        options.signal.removeEventListener('abort', stop);
    }
}

/* An answer as it comes: { text, reasoning, finish, tokens }, each where there is one. */
export async function* chat(request, signal) {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of stream('v1/chat/completions', { body, signal })) {
        if (chunk.error) throw problemOf(chunk.error.status ?? 500, chunk.error, 0);
        const choice = chunk.choices?.[0];
        yield {
            text: choice?.delta?.content || '',
            reasoning: choice?.delta?.reasoning_content || '',
            finish: choice?.finish_reason || '',
            tokens: chunk.usage?.completion_tokens,
        };
    }
}

export const live = (signal) => stream('verge/live', { signal });
