/** Publishes a camera, a microphone or a screen by WHIP. */
import { negotiate, onOver } from "./sdp";
import { RtcMeter } from "./stats";
import type { MediaStats } from "./stats";

export interface Publishing {
  stats(): Promise<MediaStats>;
  stop(): void;
}

/** What RTMP and FLV players take comes first. */
const PREFERRED = "video/H264";

export async function publishWhip(
  url: string,
  media: MediaStream,
  maxBitrate: number,
  stop: AbortSignal,
  over: () => void,
): Promise<Publishing> {
  const peer = new RTCPeerConnection();
  for (const track of media.getTracks()) {
    const sendEncodings = track.kind === "video" ? [{ maxBitrate }] : [];
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings });
    if (track.kind === "video") preferH264(transceiver);
  }
  const session = await negotiate(peer, url, stop);
  onOver(peer, stop, over);
  const meter = new RtcMeter(peer, "outbound-rtp");
  return { stats: () => meter.read(), stop: session.end };
}

function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const first = codecs.filter(({ mimeType }) => mimeType === PREFERRED);
  const rest = codecs.filter(({ mimeType }) => mimeType !== PREFERRED);
  if (first.length) transceiver.setCodecPreferences?.([...first, ...rest]);
}
