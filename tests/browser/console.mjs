// The console as an operator uses it, by keyboard where it matters. `args.step` says how far.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const axe = fileURLToPath(new URL('../../target/test-tools/browser/node_modules/axe-core/axe.min.js', import.meta.url));

export default async function console({ page, context, args }) {
    // As through a proxy: the node then asks for its token wherever the request came from.
    if (args.token) await context.setExtraHTTPHeaders({ 'x-forwarded-for': '192.0.2.1' });
    page.setDefaultTimeout(20_000);
    return { operate, undo, look, watch }[args.step]({ page, context, args });
}

const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });

async function logIn(page, { url, token }) {
    await page.goto(url);
    await page.getByLabel('API token').fill('not the token');
    await page.keyboard.press('Enter');
    const refused = await page.getByRole('alert').textContent();
    await page.getByLabel('API token').fill(token);
    await page.keyboard.press('Enter');
    await heading(page, 'Overview').waitFor();
    return refused;
}

/** Logs in, mutes a player, bans a member. */
async function operate({ page, args }) {
    const refused = await logIn(page, args);
    await page.goto(`${args.url}/#/streams/live/show`);
    const audio = page.getByRole('switch', { name: `Audio for player ${args.player}` });
    await audio.focus();
    await page.keyboard.press('Space');
    await page.getByText(`Closed audio for player ${args.player}`).waitFor();
    await page.getByRole('switch', { name: `Audio for player ${args.player}`, checked: false }).waitFor();

    await page.getByRole('link', { name: 'Channels' }).first().click();
    await page.getByRole('link', { name: 'room 1' }).click();
    await page.getByRole('button', { name: 'Ban alice' }).click();
    const dialog = page.getByRole('dialog');
    // Nothing is done by looking: the dialog is closed again, and opened anew.
    await dialog.getByLabel('Why').press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Ban alice' }).click();
    await dialog.getByLabel('Why').fill('Noise');
    await dialog.getByRole('button', { name: 'Ban', exact: true }).click();
    await page.getByText('alice is banned').waitFor();
    await page.getByText('Nobody is in this channel.').waitFor();
    return { refused };
}

/** Lifts the ban, kicks the player, publishes what the tab knows about the token. */
async function undo({ page, context, args }) {
    await logIn(page, args);
    await page.getByRole('link', { name: 'Bans' }).click();
    await page.getByRole('button', { name: 'Lift the ban of alice' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Lift', exact: true }).click();
    await page.getByText('Nobody is banned.').waitFor();

    await page.goto(`${args.url}/#/streams/live/show`);
    await page.getByRole('button', { name: `Kick player ${args.player}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Kick', exact: true }).click();
    // The page plays the stream as well: its own player stays.
    await page.getByRole('button', { name: `Kick player ${args.player}` }).waitFor({ state: 'hidden' });

    const other = await context.newPage();
    await other.goto(args.url);
    await other.getByLabel('API token').waitFor();
    return { kept: await other.evaluate(() => [localStorage, sessionStorage].map((each) => JSON.stringify(each))) };
}

/** Plays a stream of an app that asks players for a key, which the page does not have. */
async function watch({ page, args }) {
    const plays = (from) => page.waitForFunction((from) => {
        const video = document.querySelector('video');
        return video.videoWidth && video.currentTime > from;
    }, from);
    // WHEP, which the page begins with, is answered when FLV has taken its place on the screen: what
    // is over by then may not touch what plays.
    let answer;
    const playing = new Promise((resolve) => (answer = resolve));
    let answered;
    const over = new Promise((resolve) => (answered = resolve));
    await page.route('**/whep**', async (route) => {
        if (route.request().method() === 'POST') await playing;
        await route.continue();
        answered();
    });
    await page.goto(`${args.url}/#/streams/studio/show`);
    await page.getByLabel('Protocol').selectOption('ws-flv');
    await plays(1);
    answer();
    await over;
    await plays(2);
    await page.getByText(/WS-FLV · 640×360/).waitFor();
    const protocols = async () => {
        const { items } = await (await fetch(`${args.url}/api/v1/players?app=studio`)).json();
        return items.map(({ protocol }) => protocol);
    };
    while ((await protocols()).length > 1) await new Promise((passed) => setTimeout(passed, 50));
    return { protocols: await protocols() };
}

const PAGES = {
    overview: '#/',
    streams: '#/streams',
    stream: '#/streams/live/show',
    channels: '#/channels',
    channel: '#/channels/live/room%201',
    member: '#/channels/live/room%201/alice',
    bans: '#/bans',
    publish: '#/publish',
    meet: '#/meet',
    nowhere: '#/nowhere',
    login: '#/',
};

/** Looks at every page in both languages, light and wide, dark and narrow. */
async function look({ page, context, args }) {
    const source = readFileSync(axe, 'utf8');
    const debug = await context.newCDPSession(page);
    const faults = [];
    const seen = [];
    for (const [lang, theme, width] of [['en', 'light', 1280], ['zh', 'dark', 390]]) {
        await page.setViewportSize({ width, height: 800 });
        await page.goto(args.url);
        await page.evaluate(([lang, theme]) => {
            localStorage.setItem('lockgate.lang', lang);
            localStorage.setItem('lockgate.theme', theme);
        }, [lang, theme]);
        for (const [name, hash] of Object.entries(PAGES)) {
            await page.goto('about:blank');
            // As through a proxy, where the node asks for its token.
            await context.setExtraHTTPHeaders(name === 'login' ? { 'x-forwarded-for': '192.0.2.1' } : {});
            await page.goto(`${args.url}/${hash}`);
            if (name === 'login') await page.getByRole('textbox').waitFor();
            await page.locator('main').waitFor();
            await page.waitForFunction(() => !document.querySelector('[aria-busy]'));
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) faults.push(`${name} ${lang} ${theme} ${width}: ${wide} px too wide`);
            // By the debugger: the page's policy lets nobody add a script.
            await debug.send('Runtime.evaluate', { expression: source });
            const found = await page.evaluate(() => globalThis.axe.run(document, { preload: false, resultTypes: ['violations'] }));
            for (const { id, impact, nodes } of found.violations) {
                if (['serious', 'critical'].includes(impact)) {
                    faults.push(`${name} ${lang} ${theme} ${width}: ${id} ${nodes[0].html}`);
                }
            }
            seen.push(`${name} ${lang} ${await page.title()}`);
        }
        globalThis.console.log(`looked at ${lang}`);
    }
    return { faults, seen: seen.length };
}
