// Plays by WHEP and looks: { url, key, phases: [{ seconds, gate }], api, name }. `url` is what offers
// are posted to. Before a phase the gate of the stream's only player is switched as it says. Returns
// four samples a second for each phase, with the picture's mean colour and the sound's loudness, and
// its gaps: from one frame that was shown to the next, in ms, and when the later one was. Says
// `phase N` as one begins.
export default async function whep({ page, origin, args }) {
    await page.exposeFunction('turn', (gate) => turn(args, gate));
    await page.exposeFunction('say', (text) => console.log(text));
    await page.goto(origin);
    return page.evaluate(async ({ url, key, phases }) => {
        const started = performance.now();
        const peer = new RTCPeerConnection();
        peer.addTransceiver('video', { direction: 'recvonly' });
        peer.addTransceiver('audio', { direction: 'recvonly' });
        const media = new MediaStream();
        peer.ontrack = ({ track }) => media.addTrack(track);
        await peer.setLocalDescription(await peer.createOffer());
        const headers = { 'Content-Type': 'application/sdp' };
        if (key) headers.Authorization = `Bearer ${key}`;
        const response = await fetch(url, { method: 'POST', headers, body: peer.localDescription.sdp });
        if (response.status !== 201) return { status: response.status, body: await response.json() };
        const session = new URL(response.headers.get('Location'), url);
        await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });

        const video = document.createElement('video');
        video.srcObject = media;
        video.muted = true;
        document.body.append(video);
        let firstFrame = null;
        let lastShown = 0;
        let gaps = [];
        let phaseBegan = 0;
        const shown = () => {
            const now = performance.now();
            firstFrame ??= now - started;
            if (lastShown) gaps.push({ at: now - phaseBegan, gap: now - lastShown });
            lastShown = now;
            video.requestVideoFrameCallback(shown);
        };
        video.requestVideoFrameCallback(shown);
        video.play();
        const audio = new AudioContext();
        const analyser = audio.createAnalyser();
        audio.createMediaStreamSource(media).connect(analyser);
        const wave = new Float32Array(analyser.fftSize);
        const canvas = new OffscreenCanvas(16, 16);
        const context = canvas.getContext('2d', { willReadFrequently: true });

        const look = async () => {
            const sample = { at: (performance.now() - started) / 1000, state: peer.connectionState };
            const stats = await peer.getStats();
            for (const stat of stats.values()) {
                if (stat.type !== 'inbound-rtp') continue;
                sample[stat.kind] = {
                    codec: stats.get(stat.codecId)?.mimeType,
                    packets: stat.packetsReceived,
                    lost: stat.packetsLost,
                    decoded: stat.framesDecoded,
                    dropped: stat.framesDropped,
                    freezes: stat.totalFreezesDuration,
                    pli: stat.pliCount,
                    nack: stat.nackCount,
                    rtx: stat.retransmittedPacketsReceived,
                    concealed: stat.concealedSamples,
                    samples: stat.totalSamplesReceived,
                    playout: stat.estimatedPlayoutTimestamp,
                    delay: stat.jitterBufferDelay / stat.jitterBufferEmittedCount,
                };
            }
            context.drawImage(video, 0, 0, 16, 16);
            const { data } = context.getImageData(0, 0, 16, 16);
            sample.colour = [0, 1, 2].map((part) => {
                let sum = 0;
                for (let i = part; i < data.length; i += 4) sum += data[i];
                return Math.round(sum / 256);
            });
            analyser.getFloatTimeDomainData(wave);
            sample.loudness = Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
            return sample;
        };

        // A phase begins once there is something to be seen and heard.
        while (!firstFrame && performance.now() - started < 40_000) {
            await new Promise((done) => setTimeout(done, 50));
        }
        const seen = [];
        for (const [index, { seconds, gate }] of phases.entries()) {
            if (gate) await turn(gate);
            gaps = [];
            phaseBegan = performance.now();
            await say(`phase ${index}`);
            const samples = [];
            for (let count = 0; count < seconds * 4; count++) {
                await new Promise((done) => setTimeout(done, 250));
                samples.push(await look());
            }
            const now = performance.now();
            gaps.push({ at: now - phaseBegan, gap: now - lastShown });
            seen.push({ samples, gaps, longestFreeze: Math.max(...gaps.map(({ gap }) => gap)) });
        }
        const size = [video.videoWidth, video.videoHeight];
        const ended = (await fetch(session, { method: 'DELETE' })).status;
        peer.close();
        return { status: 201, firstFrame, size, phases: seen, ended };
    }, args);
}

async function turn({ api, name }, gate) {
    const players = await (await fetch(`${api}/api/v1/players?app=live&name=${name}`)).json();
    const response = await fetch(`${api}/api/v1/players/${players.items[0].connection}/gate`, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(gate),
    });
    if (!response.ok) throw new Error(`${response.status}`);
}
