// mpegts.js plays a URL: args are url, and, to be muted on the way, mute and unmute, each the URL and
// body of a PATCH to the node's API. Looks at frames, pixels and sound.
async function report(page) {
    return page.evaluate(async () => {
        const { video, analyser, errors } = globalThis;
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [32, 18];
        const context = canvas.getContext('2d');
        context.drawImage(video, 0, 0, 32, 18);
        const { data } = context.getImageData(0, 0, 32, 18);
        const colours = new Set();
        for (let at = 0; at < data.length; at += 4) colours.add(data.slice(at, at + 3).join());
        // The loudest of half a second.
        let loudest = 0;
        const samples = new Float32Array(analyser.fftSize);
        const end = performance.now() + 500;
        while (performance.now() < end) {
            analyser.getFloatTimeDomainData(samples);
            for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
            await new Promise((frame) => requestAnimationFrame(frame));
        }
        const { totalVideoFrames: frames } = video.getVideoPlaybackQuality();
        return { frames, colours: colours.size, loudest, width: video.videoWidth, errors };
    });
}

const moreFrames = (page, count) =>
    page.evaluate(async (count) => {
        const { video } = globalThis;
        const goal = video.getVideoPlaybackQuality().totalVideoFrames + count;
        while (video.getVideoPlaybackQuality().totalVideoFrames < goal) {
            await new Promise((later) => setTimeout(later, 20));
        }
    }, count);

async function patch({ url, body }) {
    const answer = await fetch(url, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
}

export default async function flv({ page, origin, args }) {
    await page.goto(origin);
    await page.addScriptTag({ url: `${origin}/modules/mpegts.js/dist/mpegts.js` });
    await page.evaluate(async (url) => {
        mpegts.LoggingControl.enableAll = false;
        const video = document.createElement('video');
        document.body.append(video);
        const errors = [];
        const player = mpegts.createPlayer({ type: 'flv', isLive: true, url }, { enableWorker: false });
        player.on(mpegts.Events.ERROR, (...what) => errors.push(what));
        player.attachMediaElement(video);
        player.load();
        await player.play();
        const audio = new AudioContext();
        const analyser = audio.createAnalyser();
        audio.createMediaElementSource(video).connect(analyser);
        Object.assign(globalThis, { video, analyser, errors });
    }, args.url);
    await moreFrames(page, 30);
    const playing = await report(page);
    if (!args.mute) return { playing };
    const players = await (await fetch(args.players)).json();
    const url = `${args.gate}/${players.items[0].connection}/gate`;
    await patch({ url, body: { audio: 'closed' } });
    // What the player had buffered is heard first.
    await moreFrames(page, 90);
    const muted = await report(page);
    await patch({ url, body: { audio: 'open' } });
    await moreFrames(page, 90);
    return { playing, muted, opened: await report(page) };
}
