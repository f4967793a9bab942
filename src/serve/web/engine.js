/* engine.js: the live view: what the engine reports each half second, drawn over the last minutes,
 * with the value of now as text and everything as a table for those who see no drawings. It connects
 * again by itself; where there was no connection the lines have a gap. While the page is hidden it
 * does not listen, to cost nothing. */
import { $, bytes, duration, el, figure } from './ui.js';
import * as api from './api.js';
import { setting } from './store.js';

const KEEP_S = 600;

const per_s = (x) => (x == null ? '–' : `${figure(x)}/s`);
const count = (x) => figure(x);

/* get: the value in a report. Stacked series lie on one another, the first one at the bottom. */
const PLOTS = [
    {
        title: 'Tokens written',
        format: per_s,
        series: [{ label: 'all answers', get: (r) => r.tokens_s, area: true }],
    },
    {
        title: 'Prompt tokens read',
        format: per_s,
        series: [{ label: 'all prompts', get: (r) => r.prompt_tokens_s, area: true }],
    },
    {
        title: 'Requests',
        format: count,
        whole: true,
        series: [
            { label: 'running', get: (r) => r.running, area: true },
            { label: 'waiting', get: (r) => r.queue, dash: true },
        ],
    },
    {
        title: 'Batch',
        format: count,
        whole: true,
        series: [
            { label: 'rows of a step', get: (r) => r.batch_rows, area: true },
            { label: 'at most', get: (r) => r.batch_cap, dash: true },
        ],
    },
    {
        title: 'KV cache pages',
        format: count,
        whole: true,
        stacked: true,
        series: [
            { label: 'in use', get: (r) => r.pages_used, area: true },
            { label: 'cached', get: (r) => r.pages_cached, area: true },
            {
                label: 'free',
                get: (r) => known(r.pages) && r.pages - (r.pages_used || 0) - (r.pages_cached || 0),
                area: true,
            },
        ],
    },
    {
        title: 'Time to first token',
        format: duration,
        series: [
            { label: 'p50', get: (r) => r.ttft_ms?.p50 },
            { label: 'p95', get: (r) => r.ttft_ms?.p95, dash: true },
        ],
    },
    {
        title: 'Time of a step',
        format: duration,
        series: [{ label: 'last step', get: (r) => r.step_ms, area: true }],
    },
    {
        title: 'Memory',
        format: bytes,
        binary: true,
        series: [{ label: 'in use', get: (r) => r.memory_bytes, area: true }],
    },
];

const TOTALS = [
    ['Requests', 'requests_total'],
    ['Errors', 'errors_total'],
    ['Prompt tokens taken from the cache', 'prefix_hit_tokens'],
];

const known = (x) => typeof x === 'number' && Number.isFinite(x);
const value = (s, report) => {
    const x = s.get(report);
    return known(x) ? Math.max(x, 0) : null;
};

function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* Powers of two for bytes, so that an axis shows round figures. */
const BINARY = Array.from({ length: 50 }, (_, i) => 2 ** i);

/* ---- one drawing ---------------------------------------------------------------------------- */

class Plot {
    #spec;
    #chart = null;
    #values;
    #box = el('div', { class: 'plot', 'aria-hidden': 'true' });

    constructor(spec) {
        this.#spec = spec;
        this.#values = spec.series.map(() => el('b', {}, '–'));
        this.element = el(
            'figure',
            { class: 'card' },
            el(
                'figcaption',
                {},
                el('h2', {}, spec.title),
                el(
                    'ul',
                    { class: 'legend' },
                    ...spec.series.map((s, i) =>
                        el(
                            'li',
                            {},
                            el('span', { class: `swatch c${i + 1}${s.dash ? ' dash' : ''}` }),
                            `${s.label} `,
                            this.#values[i],
                        ),
                    ),
                ),
            ),
            this.#box,
        );
        new ResizeObserver(() => this.#resize()).observe(this.#box);
    }

    #resize() {
        const { clientWidth: width, clientHeight: height } = this.#box;
        if (this.#chart && width) this.#chart.setSize({ width, height });
    }

    /* Anew, with the colours of the theme. */
    restart() {
        this.#chart?.destroy();
        this.#chart = null;
    }

    #make(data) {
        const ink = color('--soft'),
            grid = { stroke: color('--line'), width: 1 };
        const axis = {
            stroke: ink,
            grid,
            ticks: { show: false },
            font: '11px system-ui, sans-serif',
        };
        const series = this.#spec.series.map((s, i) => {
            const stroke = color(`--c${i + 1}`);
            return {
                stroke,
                width: 1.5,
                dash: s.dash ? [5, 4] : undefined,
                points: { show: false },
                fill: s.area ? `${stroke}${this.#spec.stacked ? '66' : '2b'}` : undefined,
            };
        });
        const { whole, binary, format, stacked } = this.#spec;
        this.#chart = new uPlot(
            {
                width: this.#box.clientWidth || 300,
                height: this.#box.clientHeight || 140,
                cursor: { show: false },
                legend: { show: false },
                padding: [8, 6, 0, 0],
                scales: {
                    x: { time: true, range: (u, low, high) => [low, high] },
                    y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] },
                },
                axes: [
                    {
                        ...axis,
                        size: 24,
                        space: 70,
                        values: (u, at) =>
                            at.map((t) => new Date(t * 1000).toLocaleTimeString('en-GB')),
                    },
                    {
                        ...axis,
                        size: 58,
                        space: 28,
                        incrs: whole
                            ? [
                                  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000,
                                  20000, 50000, 100000,
                              ]
                            : binary
                              ? BINARY
                              : undefined,
                        values: (u, at) =>
                            at.map((x) => (format === per_s ? figure(x) : format(x))),
                    },
                ],
                series: [{}, ...series],
                bands: stacked
                    ? series.slice(1).map((_, i) => ({ series: [i + 2, i + 1] }))
                    : undefined,
            },
            data,
            this.#box,
        );
    }

    /* times and reports side by side; report null: no connection then. */
    draw(times, reports, begin, end) {
        const rows = this.#spec.series.map((s) => reports.map((r) => r && value(s, r)));
        rows.forEach((row, i) => (this.#values[i].textContent = this.#spec.format(row.at(-1))));
        if (this.#spec.stacked)
            for (let i = 1; i < rows.length; i++)
                rows[i] = rows[i].map((x, k) => (x == null ? null : x + rows[i - 1][k]));
        const data = [times, ...rows];
        if (!this.#chart) this.#make(data);
        else this.#chart.setData(data, false);
        this.#chart.setScale('x', { min: begin, max: end });
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

function summary(reports, s) {
    const all = reports
        .filter(Boolean)
        .map((r) => value(s, r))
        .filter((x) => x !== null);
    if (!all.length) return [null, null, null, null];
    return [
        all.at(-1),
        all.reduce((a, b) => Math.min(a, b)),
        all.reduce((a, b) => a + b) / all.length,
        all.reduce((a, b) => Math.max(a, b)),
    ];
}

function drawTable(reports) {
    const rows = PLOTS.flatMap((p) =>
        p.series.map((s) => [
            `${p.title}: ${s.label}`,
            ...summary(reports, s).map((x) => p.format(x)),
        ]),
    );
    const cells = document.querySelectorAll('#table-body td');
    if (cells.length === rows.length * 4) {
        // a reader that stands in the table stays where it is
        rows.forEach((r, i) =>
            r.slice(1).forEach((text, k) => (cells[i * 4 + k].textContent = text)),
        );
        return;
    }
    $('table-body').replaceChildren(
        el(
            'div',
            { class: 'wide-table', tabindex: '0', role: 'region', 'aria-label': 'Figures' },
            el(
                'table',
                {},
                el('caption', {}, 'Over the time shown'),
                el(
                    'thead',
                    {},
                    el(
                        'tr',
                        {},
                        ...['Figure', 'Now', 'Lowest', 'Mean', 'Highest'].map((h) =>
                            el('th', { scope: 'col' }, h),
                        ),
                    ),
                ),
                el(
                    'tbody',
                    {},
                    ...rows.map(([name, ...cells_]) =>
                        el(
                            'tr',
                            {},
                            el('th', { scope: 'row' }, name),
                            ...cells_.map((c) => el('td', {}, c)),
                        ),
                    ),
                ),
            ),
        ),
    );
}

/* ---- the view ------------------------------------------------------------------------------- */

export class Engine {
    #problem;
    #plots = PLOTS.map((p) => new Plot(p));
    #times = [];
    #reports = [];
    #controller = null; // of the connection
    #wake = null; // ends the wait for the next try
    #wanted = false; // somebody has looked
    #shown = false;
    #models = '';
    #due = false;

    constructor({ problem }) {
        this.#problem = problem;
        $('plots').append(...this.#plots.map((p) => p.element));
        $('totals').append(
            ...TOTALS.map(([label, name]) =>
                el('div', {}, el('dt', {}, label), el('dd', { id: `total-${name}` }, '–')),
            ),
        );
        $('span').value = setting('verge-span') || '120';
        $('span').addEventListener('change', () => {
            setting('verge-span', $('span').value);
            this.#draw();
        });
        $('table').addEventListener('toggle', () => this.#draw());
        addEventListener('theme', () => {
            for (const p of this.#plots) p.restart();
            this.#draw();
        });
        document.addEventListener('visibilitychange', () => {
            if (document.hidden) this.#controller?.abort();
            else this.again();
        });
    }

    show(shown) {
        this.#shown = shown;
        if (!shown) return;
        if (!this.#wanted) {
            this.#wanted = true;
            this.#listen();
        }
        this.#draw();
    }

    /* There may be a connection now. */
    again() {
        this.#wake?.();
    }

    #state(text, good) {
        if ($('live-state').textContent !== text) $('live-state').textContent = text;
        $('live-state').classList.toggle('good', good);
    }

    async #listen() {
        for (let wait_s = 1; ; wait_s = Math.min(wait_s * 2, 15)) {
            this.#controller = new AbortController();
            this.#state('Connecting', false);
            try {
                for await (const report of api.live(this.#controller.signal)) {
                    wait_s = 0.5;
                    this.#state('Live', true);
                    this.#add(report);
                }
            } catch (e) {
                if (!(e instanceof api.Problem)) throw e;
                if (this.#reports.at(-1)) this.#push(null);
                this.#draw(); // the figures of now are not known any more
                const why =
                    e.kind === 'gone' || e.kind === 'cut'
                        ? 'No connection; trying again'
                        : e.message;
                this.#state(e.kind === 'stopped' ? 'Paused' : why, false);
                if (e.kind === 'key' || e.kind === 'gone') this.#problem(e);
                if (e.kind === 'busy') wait_s = Math.max(wait_s, e.wait_s / 2);
            }
            await new Promise((resolve) => {
                this.#wake = resolve;
                if (!document.hidden)
                    setTimeout(resolve, wait_s * 2000 * (0.5 + Math.random() / 2));
            });
        }
    }

    #push(report) {
        const now = Date.now() / 1000;
        this.#times.push(now);
        this.#reports.push(report);
        const old = this.#times.findIndex((t) => t >= now - KEEP_S);
        this.#times.splice(0, old);
        this.#reports.splice(0, old);
    }

    #add(report) {
        if (!report || typeof report !== 'object') return;
        this.#push(report);
        if (this.#due) return;
        this.#due = true;
        requestAnimationFrame(() => {
            this.#due = false;
            this.#draw();
        });
    }

    #draw() {
        if (!this.#shown) return;
        const now = Date.now() / 1000,
            begin = now - Number($('span').value);
        let from = this.#times.findIndex((t) => t >= begin);
        if (from < 0) from = this.#times.length;
        from = Math.max(from - 1, 0); // the line enters at the left edge
        const times = this.#times.slice(from),
            reports = this.#reports.slice(from);
        for (const p of this.#plots) p.draw(times, reports, begin, now);
        const last = this.#reports.findLast(Boolean);
        if (last) this.#drawText(last);
        if ($('table').open) drawTable(reports);
    }

    #drawText(report) {
        for (const [, name] of TOTALS) $(`total-${name}`).textContent = figure(report[name]);
        const models = Array.isArray(report.models) ? report.models : [];
        const text = JSON.stringify(models);
        if (text === this.#models) return;
        this.#models = text;
        if (!models.length) return $('live-models').replaceChildren('No model is loaded.');
        $('live-models').replaceChildren(
            el(
                'div',
                {
                    class: 'wide-table',
                    tabindex: '0',
                    role: 'region',
                    'aria-label': 'List of models',
                },
                el(
                    'table',
                    {},
                    el(
                        'thead',
                        {},
                        el(
                            'tr',
                            {},
                            ...['Name', 'State', 'Size', 'Context'].map((h) =>
                                el('th', { scope: 'col' }, h),
                            ),
                        ),
                    ),
                    el(
                        'tbody',
                        {},
                        ...models.map((m) =>
                            el(
                                'tr',
                                {},
                                el('th', { scope: 'row' }, String(m.name)),
                                el('td', {}, String(m.state ?? '–')),
                                el('td', {}, bytes(m.bytes)),
                                el('td', {}, m.ctx ? `${m.ctx} tokens` : '–'),
                            ),
                        ),
                    ),
                ),
            ),
        );
        return undefined;
    }
}
