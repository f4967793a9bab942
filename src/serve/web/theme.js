/* theme.js: light or dark, decided before the first paint. What the person chose wins over what the
 * system says. It is a script of its own because no script may stand inside the HTML. */
(function () {
    const dark = matchMedia('(prefers-color-scheme: dark)');

    function chosen() {
        try {
            return localStorage.getItem('verge-theme') || 'system';
        } catch {
            return 'system';
        }
    }

    function apply(choice) {
        const now = choice === 'system' ? (dark.matches ? 'dark' : 'light') : choice;
        document.documentElement.dataset.theme = now;
        dispatchEvent(new CustomEvent('theme', { detail: { choice, now } }));
    }

    let choice = chosen();
    apply(choice);
    dark.addEventListener('change', () => apply(choice));

    window.vergeTheme = {
        get choice() {
            return choice;
        },
        /* The next of system, light, dark. */
        next() {
            choice = { system: 'light', light: 'dark', dark: 'system' }[choice] || 'system';
            try {
                localStorage.setItem('verge-theme', choice);
            } catch {
                /* It then holds until the page is closed. */
            }
            apply(choice);
        },
    };
})();
