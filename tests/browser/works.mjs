// Says what the browser can decode, and shows that its fake camera moves.
export default async function works({ page, origin }) {
    await page.goto(origin);
    return page.evaluate(async () => {
        const types = ['avc1.42E01E', 'mp4a.40.2'];
        const kinds = types.map((codec, index) => `${index ? 'audio' : 'video'}/mp4; codecs="${codec}"`);
        const decodes = kinds.map((kind) => MediaSource.isTypeSupported(kind));
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
        const video = document.createElement('video');
        video.srcObject = stream;
        await video.play();
        await new Promise((shown) => video.requestVideoFrameCallback(shown));
        return { decodes, width: video.videoWidth, tracks: stream.getTracks().length };
    });
}
