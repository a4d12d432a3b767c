// In the page: a member of a channel by the SDK, whose media goes by WHIP and WHEP. It subscribes to
// whoever is announced.
import Lockgate from '/sdk/lockgate.mjs';

export async function join({ server, port, channel, uid, forms }) {
    const member = new Member();
    await member.join({ server, port, channel, uid, forms });
    return member;
}

class Member {
    client = new Lockgate.Client();
    events = [];
    /** What is played, by whose it is. */
    players = new Map();

    async join({ server, port, channel, uid, forms }) {
        const { client, events } = this;
        await client.setParameters({ ConfPriCloudAddr: { ServerAdd: server, Port: port }, ...forms });
        await client.init('live');
        for (const event of ['stream-added', 'stream-removed', 'mute-audio', 'mute-video', 'unmute-audio', 'unmute-video']) {
            client.on(event, ({ uid }) => events.push(`${event} ${uid}`));
        }
        client.on('error', ({ code, reason }) => events.push(`error ${code} ${reason}`));
        client.on('connection-state-change', (state) => events.push(state));
        await client.join(undefined, channel, uid);
        this.plays = forms?.pullForm === 'whep';
        if (this.plays) client.on('stream-added', ({ uid }) => this.play(uid));
    }

    async publish(size) {
        const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: size });
        const peer = (this.pusher = new RTCPeerConnection());
        for (const track of media.getTracks()) {
            const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [media] });
            if (track.kind !== 'video') continue;
            const { codecs } = RTCRtpSender.getCapabilities('video');
            transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => /h264|rtx/i.test(mimeType)));
        }
        this.pushUrl = await this.client.publish();
        await negotiate(peer, this.pushUrl);
    }

    async play(uid) {
        const player = new Player();
        this.players.set(uid, player);
        player.url = (await this.client.subscribe(uid)).url;
        await negotiate(player.peer, player.url);
    }

    /** What is seen and heard of a user by now. */
    look(uid) {
        return this.players.get(uid)?.look();
    }
}

async function negotiate(peer, url) {
    await peer.setLocalDescription(await peer.createOffer());
    const headers = { 'Content-Type': 'application/sdp' };
    const response = await fetch(url, { method: 'POST', headers, body: peer.localDescription.sdp });
    const body = await response.text();
    if (response.status !== 201) throw new Error(`${url}: ${response.status} ${body}`);
    await peer.setRemoteDescription({ type: 'answer', sdp: body });
}

class Player {
    peer = new RTCPeerConnection();
    video = document.createElement('video');
    context = new OffscreenCanvas(16, 16).getContext('2d', { willReadFrequently: true });

    constructor() {
        const media = new MediaStream();
        this.video.muted = true;
        this.video.srcObject = media;
        document.body.append(this.video);
        this.peer.addTransceiver('video', { direction: 'recvonly' });
        this.peer.addTransceiver('audio', { direction: 'recvonly' });
        this.peer.ontrack = ({ track }) => {
            media.addTrack(track);
            this.video.play();
            if (track.kind !== 'audio') return;
            const audio = new AudioContext();
            this.analyser = audio.createAnalyser();
            // Two thirds of a second: the fake microphone beeps twice in each.
            this.analyser.fftSize = 32768;
            audio.createMediaStreamSource(media).connect(this.analyser);
        };
    }

    async look() {
        const seen = { state: this.peer.connectionState, frames: 0, sounds: 0, size: [], colour: [], peak: 0 };
        for (const stat of (await this.peer.getStats()).values()) {
            if (stat.type !== 'inbound-rtp') continue;
            if (stat.kind === 'video') seen.frames = stat.framesDecoded ?? 0;
            else seen.sounds = stat.packetsReceived ?? 0;
        }
        const { video, context, analyser } = this;
        if (video.videoWidth) {
            seen.size = [video.videoWidth, video.videoHeight];
            context.drawImage(video, 0, 0, 16, 16);
            const { data } = context.getImageData(0, 0, 16, 16);
            seen.colour = [0, 1, 2].map((part) => Math.round(data.filter((_, i) => i % 4 === part).reduce((a, b) => a + b, 0) / 256));
        }
        if (analyser) {
            const wave = new Float32Array(analyser.fftSize);
            analyser.getFloatTimeDomainData(wave);
            seen.peak = wave.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
        }
        return seen;
    }
}
