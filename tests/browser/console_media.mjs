// Pictures and sound in the console, as `args.step` says.
import { setTimeout as pause } from 'node:timers/promises';

export default async function media({ page, browser, args }) {
    page.setDefaultTimeout(45_000);
    return { publish, meet, fall }[args.step]({ page, browser, args });
}

/** Waits until a video has shown 20 frames; its size, and its mean colour at that moment. */
async function shown(video) {
    const element = await video.elementHandle();
    for (;;) {
        const seen = await element.evaluate((video) => {
            const context = new OffscreenCanvas(16, 16).getContext('2d');
            context.drawImage(video, 0, 0, 16, 16);
            const { data } = context.getImageData(0, 0, 16, 16);
            const part = (at) => data.filter((_, i) => i % 4 === at).reduce((a, b) => a + b, 0) / 256;
            const frames = video.getVideoPlaybackQuality().totalVideoFrames;
            return { frames, size: [video.videoWidth, video.videoHeight], colour: [0, 1, 2].map((at) => Math.round(part(at))) };
        });
        if (seen.frames >= 20) return seen;
        await pause(100);
    }
}

/** Waits until a WebRTC video's sound is there, or is not. */
async function heard(video, wanted) {
    const element = await video.elementHandle();
    for (;;) {
        const peak = await element.evaluate((video) => {
            const audio = (video.audio ??= new AudioContext());
            if (video.heard !== video.srcObject) {
                video.heard = video.srcObject;
                video.analyser = audio.createAnalyser();
                video.analyser.fftSize = 32768;
                audio.createMediaStreamSource(video.srcObject).connect(video.analyser);
            }
            const wave = new Float32Array(video.analyser.fftSize);
            video.analyser.getFloatTimeDomainData(wave);
            return wave.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
        });
        if (wanted ? peak > 0.02 : peak < 0.0005) return peak;
        await pause(100);
    }
}

const api = async (url, path) => (await fetch(`${url}/api/v1/${path}`)).json();

/** Sends the camera from the publish page, and watches it on the stream's page. */
async function publish({ page, browser, args }) {
    await page.goto(`${args.url}/#/publish`);
    await page.getByLabel('Stream name').fill('cam');
    await page.getByLabel('Picture').selectOption('0');
    await page.getByRole('button', { name: 'Go live' }).click();
    await page.getByText(/WHIP · H264/).waitFor();
    const preview = await shown(page.getByLabel('Preview of what is sent'));
    const { publisher } = await api(args.url, 'streams/live/cam');

    const other = await (await browser.newContext()).newPage();
    await other.goto(`${args.url}/#/streams/live/cam`);
    const screen = other.locator('video');
    await other.getByText(/WHEP · \d+×\d+/).waitFor({ timeout: 45_000 });
    console.log('watched');
    const watched = await shown(screen);
    await heard(screen, true);
    await other.getByRole('switch', { name: 'Sound of live/cam' }).click();
    const element = await screen.elementHandle();
    const turned = await other.waitForFunction((video) => !video.muted, element);
    const loud = await turned.jsonValue();
    const { items } = await api(args.url, 'players?app=live&name=cam');

    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('The preview shows here.').waitFor();
    return { preview, watched, loud, publisher: publisher.protocol, players: items.map(({ protocol }) => protocol) };
}

/** Two pages in a channel, both with cameras. */
async function meet({ page, browser, args }) {
    const enter = async (page, uid) => {
        await page.goto(`${args.url}/#/meet`);
        await page.getByLabel('Channel', { exact: true }).fill('room 1');
        await page.getByLabel('Uid').fill(uid);
        await page.getByRole('button', { name: 'Join' }).click();
        await page.getByRole('button', { name: 'Camera' }).click();
        await page.getByText(/WHIP · /).waitFor();
        return { page, tile: (of) => page.locator('article').filter({ has: page.getByRole('heading', { name: of }) }) };
    };
    const ann = await enter(page, 'ann');
    const second = await (await browser.newContext()).newPage();
    second.setDefaultTimeout(45_000);
    const bob = await enter(second, 'bob');
    const video = (who, of) => who.tile(of).locator('video');
    await ann.tile('bob').getByText(/WHEP · /).waitFor();
    await bob.tile('ann').getByText(/WHEP · /).waitFor();
    const seen = [await shown(video(ann, 'bob')), await shown(video(bob, 'ann'))];
    await heard(video(ann, 'bob'), true);
    await heard(video(bob, 'ann'), true);

    console.log('met');

    // ann does not want to hear bob.
    const audio = ann.page.getByRole('switch', { name: 'Audio for bob' });
    await audio.click();
    await heard(video(ann, 'bob'), false);
    const { items } = await api(args.url, 'channels/live/room%201/members');
    await heard(video(bob, 'ann'), true);
    await audio.click();
    await heard(video(ann, 'bob'), true);

    // bob's camera is off for everybody.
    await bob.page.getByRole('switch', { name: 'Your video, for everybody' }).click();
    await ann.tile('bob').getByText('muted: video').waitFor();
    await bob.page.getByRole('switch', { name: 'Your video, for everybody' }).click();
    await ann.tile('bob').getByText('muted: video').waitFor({ state: 'hidden' });

    await ann.page.getByRole('button', { name: 'Leave' }).click();
    await bob.page.getByText('Nobody else publishes in this channel yet.').waitFor();
    const mutes = items.flatMap(({ uid, subscriptions }) => subscriptions.map(({ uid: of, audio, video }) => ({ by: uid, of, audio, video })));
    mutes.sort((a, b) => a.by.localeCompare(b.by));
    return { seen, mutes };
}

/** Watches a member by what works where WebRTC does not. */
async function fall({ page, args }) {
    await page.goto(`${args.url}/#/meet`);
    await page.getByLabel('Channel', { exact: true }).fill('room 1');
    await page.getByLabel('Role').selectOption('audience');
    await page.getByRole('button', { name: 'Join' }).click();
    await page.getByText(/WS-FLV · 640×360/).waitFor();
    const seen = await shown(page.locator('article').filter({ hasText: 'alice' }).locator('video'));
    const { items } = await api(args.url, 'players?app=live');
    return { seen, players: items.map(({ protocol }) => protocol) };
}
