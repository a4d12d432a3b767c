// Two members in pages and one with ffmpeg, in one channel: { server, port, channel, ffmpeg }. ann and
// bob publish their cameras by WHIP and play by WHEP, cam pushes and pulls by RTMP; all URLs are the
// SDK's. Says `met`, `muted` and `left` on the way, and returns what each saw and heard at each step.
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';

/** How long something may take to be seen: less than the test waits for each word of this. */
const PATIENCE_MS = 45_000;

/** A beep at full volume is 1; what a mute leaves is silence. */
const LOUD = 0.02;
const SILENT = 0.0005;

/** Of frames and of packets of sound, about a second. */
const SECOND = { frames: 10, sounds: 50 };

export default async function members({ browser, origin, args }) {
    const children = [];
    try {
        return await meet(browser, origin, args, children);
    } finally {
        for (const child of children) child.kill('SIGKILL');
    }
}

async function meet(browser, origin, args, children) {
    const enter = async (uid, forms) => {
        const page = await (await browser.newContext()).newPage();
        const errors = [];
        page.on('pageerror', (error) => errors.push(String(error)));
        await page.goto(origin);
        await page.evaluate(async (args) => {
            const { join } = await import('/scenarios/member.page.mjs');
            globalThis.member = await join(args);
        }, { ...args, uid, forms });
        return { uid, errors, page, look: (of) => page.evaluate((of) => member.look(of), of) };
    };
    const call = ({ page }, method, ...rest) => page.evaluate(([method, rest]) => member.client[method](...rest), [method, rest]);
    const events = ({ page }) => page.evaluate(() => member.events);
    const web = { pullForm: 'whep', pushForm: 'whip' };
    const [ann, bob, cam] = [await enter('ann', web), await enter('bob', web), await enter('cam')];

    // Everybody publishes. Each picture has a size of its own, by which it is known.
    await ann.page.evaluate(() => member.publish({ width: 320, height: 240, frameRate: 15 }));
    await bob.page.evaluate(() => member.publish({ width: 320, height: 180, frameRate: 15 }));
    const pushUrl = await call(cam, 'publish');
    children.push(push(args.ffmpeg, pushUrl));
    const urls = { push: [await ann.page.evaluate(() => member.pushUrl), await bob.page.evaluate(() => member.pushUrl), pushUrl] };

    const met = {};
    for (const [who, of] of [[ann, 'bob'], [ann, 'cam'], [bob, 'ann'], [bob, 'cam']]) {
        met[`${who.uid} ${of}`] = await until(`${who.uid} to meet ${of}`, () => who.look(of), (it) => it && it.frames > 2 * SECOND.frames && it.peak > LOUD);
    }
    urls.pull = await ann.page.evaluate(() => [...member.players.values()].map(({ url }) => url));
    const pulls = {};
    for (const of of ['ann', 'bob']) {
        await until(`cam to hear of ${of}`, () => events(cam), (it) => it.includes(`stream-added ${of}`));
        pulls[of] = (await call(cam, 'subscribe', of)).url;
        met[`cam ${of}`] = await pull(args.ffmpeg, pulls[of]);
    }
    urls.pull.push(...Object.values(pulls));
    console.log('met');

    const muted = {};
    const hears = (who, of) => until(`${who.uid} to hear ${of}`, () => who.look(of), (it) => it.peak > LOUD);
    const silent = (who, of) => until(`${who.uid} not to hear ${of}`, () => who.look(of), (it) => it.peak < SILENT);
    const since = async (who, of, kind) => {
        const { [kind]: before } = await who.look(of);
        return until(`a second of ${kind} of ${of} for ${who.uid}`, () => who.look(of), (it) => it[kind] >= before + SECOND[kind]);
    };
    /** The picture stands while a second of sound goes by. */
    const dark = async (who, of) => {
        let start = await who.look(of);
        return until(`${who.uid} not to see ${of}`, async () => {
            const now = await who.look(of);
            if (now.frames !== start.frames) start = now;
            return { ...now, passed: now.sounds - start.sounds };
        }, (it) => it.passed >= SECOND.sounds);
    };

    // ann does not want to hear bob.
    await call(ann, 'mute', 'bob', 'audio');
    muted['ann bob'] = await silent(ann, 'bob');
    muted['ann bob, later'] = await since(ann, 'bob', 'frames');
    muted['ann cam'] = await hears(ann, 'cam');
    muted['cam bob'] = await pull(args.ffmpeg, pulls.bob);
    await call(ann, 'unmute', 'bob', 'audio');
    muted['ann bob, again'] = await hears(ann, 'bob');

    // bob does not want to see cam.
    await call(bob, 'mute', 'cam', 'video');
    muted['bob cam'] = await dark(bob, 'cam');
    muted['bob cam, heard'] = await hears(bob, 'cam');
    muted['ann cam, seen'] = await since(ann, 'cam', 'frames');
    await call(bob, 'unmute', 'cam', 'video');
    muted['bob cam, again'] = await since(bob, 'cam', 'frames');

    // cam does not want to hear ann, and says so while nothing plays.
    await call(cam, 'mute', 'ann', 'audio');
    muted['cam ann'] = await pull(args.ffmpeg, pulls.ann);
    muted['bob ann'] = await hears(bob, 'ann');
    await call(cam, 'unmute', 'ann', 'audio');
    muted['cam ann, again'] = await pull(args.ffmpeg, pulls.ann);

    // ann turns her camera off for everybody.
    await call(ann, 'muteLocal', 'video');
    await until('bob to be told', () => events(bob), (it) => it.includes('mute-video ann'));
    muted['bob ann, off'] = await dark(bob, 'ann');
    await call(ann, 'unmuteLocal', 'video');
    await until('bob to be told', () => events(bob), (it) => it.includes('unmute-video ann'));
    muted['bob ann, on'] = await since(bob, 'ann', 'frames');
    console.log('muted');

    // ann leaves: her URLs are dead, and whoever plays her is told.
    const [annAtBob] = await bob.page.evaluate(() => [member.players.get('ann').url]);
    await call(ann, 'leave');
    await until('bob to be told', () => events(bob), (it) => it.includes('stream-removed ann'));
    const ended = await until("ann's stream to end", () => bob.look('ann'), (it) => it.state === 'closed' || it.state === 'failed');
    const dead = await bob.page.evaluate(async (url) => {
        const { sdp } = await new RTCPeerConnection().createOffer({ offerToReceiveVideo: true });
        const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: sdp });
        return [answer.status, (await answer.json()).code];
    }, annAtBob);
    await since(bob, 'cam', 'frames');
    console.log('left');
    const errors = [ann, bob, cam].flatMap(({ errors }) => errors);
    return { urls, met, muted, ended: ended.state, dead, events: await events(bob), errors };
}

/** Asks until it holds. */
async function until(what, ask, holds) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
        const seen = await ask();
        if (holds(seen)) return seen;
        if (Date.now() > end) throw new Error(`waited for ${what}: ${JSON.stringify(seen)}`);
        await pause(50);
    }
}

/** A red picture and a tone, until it is killed. */
function push(ffmpeg, url) {
    const picture = 'color=red:size=320x160:rate=15';
    const options = ['-hide_banner', '-nostdin', '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', picture];
    options.push('-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100');
    options.push('-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', '15');
    options.push('-c:a', 'aac', '-ac', '2', '-f', 'flv', url);
    return spawn(ffmpeg, options, { stdio: 'ignore' });
}

/** Decodes two seconds of a pull URL: how many frames, their size and mean colour, and the loudest sound in dB. */
async function pull(ffmpeg, url) {
    const options = ['-hide_banner', '-nostdin', '-i', url];
    options.push('-t', '2', '-map', '0:v', '-vf', 'scale=16:16,format=rgb24', '-f', 'rawvideo', 'pipe:1');
    options.push('-t', '2', '-map', '0:a', '-af', 'volumedetect', '-f', 'null', '-');
    const child = spawn(ffmpeg, options, { stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS });
    const [frames, text] = [[], []];
    child.stdout.on('data', (data) => frames.push(data));
    child.stderr.on('data', (data) => text.push(data));
    const code = await new Promise((ended) => child.on('close', ended));
    const said = Buffer.concat(text).toString();
    if (code !== 0) throw new Error(`ffmpeg ended with ${code}: ${said}`);
    const pixels = Buffer.concat(frames);
    const last = pixels.subarray(-768);
    const colour = [0, 1, 2].map((part) => Math.round(last.filter((_, i) => i % 3 === part).reduce((a, b) => a + b, 0) / 256));
    const [, ...size] = /Video: .* (\d+)x(\d+)/.exec(said) ?? [];
    return { frames: pixels.length / 768, size: size.map(Number), colour, decibels: Number(/max_volume: (\S+) dB/.exec(said)?.[1]) };
}
