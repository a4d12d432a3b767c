// Publishes the fake camera and microphone by WHIP until it is told to stop: { url, key, seconds,
// codec }.
// Prints { status } once it is connected, and returns what it sent.
export default async function whip({ page, origin, args }) {
    await page.goto(origin);
    await page.exposeFunction('say', (text) => console.log(text));
    return page.evaluate(async ({ url, key, seconds, codec = 'h264', media = { audio: true, video: true } }) => {
        const stream = await navigator.mediaDevices.getUserMedia(media);
        const peer = new RTCPeerConnection();
        for (const track of stream.getTracks()) {
            const { sender } = peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
            if (track.kind === 'video') {
                const codecs = RTCRtpReceiver.getCapabilities('video').codecs;
                const wanted = new RegExp(`${codec}|rtx`, 'i');
                const these = codecs.filter(({ mimeType }) => wanted.test(mimeType));
                peer.getTransceivers().find((it) => it.sender === sender).setCodecPreferences(these);
            }
        }
        await peer.setLocalDescription(await peer.createOffer());
        const headers = { 'Content-Type': 'application/sdp' };
        if (key) headers.Authorization = `Bearer ${key}`;
        const response = await fetch(url, { method: 'POST', headers, body: peer.localDescription.sdp });
        if (response.status !== 201) return { status: response.status, body: await response.json() };
        const session = new URL(response.headers.get('Location'), url);
        await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
        while (peer.connectionState !== 'connected') {
            await new Promise((done) => setTimeout(done, 50));
            if (peer.connectionState === 'failed') return { status: 201, state: 'failed' };
        }
        await say('connected');
        await new Promise((done) => setTimeout(done, seconds * 1000));
        const sent = {};
        for (const stat of (await peer.getStats()).values()) {
            if (stat.type !== 'outbound-rtp') continue;
            sent[stat.kind] = {
                packets: stat.packetsSent,
                frames: stat.framesEncoded,
                keyframes: stat.keyFramesEncoded,
                pli: stat.pliCount,
                nack: stat.nackCount,
            };
        }
        const state = peer.connectionState;
        const ended = (await fetch(session, { method: 'DELETE' })).status;
        peer.close();
        return { status: 201, state, sent, ended };
    }, args);
}
