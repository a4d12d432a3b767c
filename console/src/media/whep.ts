/** Plays a stream by WHEP. */
import { negotiate, onOver } from "./sdp";
import { RtcMeter } from "./stats";
import type { MediaStats } from "./stats";

/** What is playing, by whichever protocol. */
export interface Playing {
  protocol: "whep" | "ws-flv";
  stats(): Promise<MediaStats>;
  stop(): void;
}

/** Plays into `video` until it is stopped; `over` is called when the node ends it. */
export async function playWhep(
  url: string,
  video: HTMLVideoElement,
  stop: AbortSignal,
  over: () => void,
): Promise<Playing> {
  const peer = new RTCPeerConnection();
  const media = new MediaStream();
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "recvonly" });
  // Whoever stopped this may be playing something else there by now: loading the element anew would
  // end that.
  const leave = () => {
    if (video.srcObject === media) video.srcObject = null;
  };
  peer.addEventListener("track", ({ track }) => {
    if (stop.aborted) return;
    media.addTrack(track);
    video.srcObject = media;
    void video.play().catch(() => {});
  });
  try {
    const session = await negotiate(peer, url, stop);
    onOver(peer, stop, over);
    const meter = new RtcMeter(peer, "inbound-rtp");
    return {
      protocol: "whep",
      stats: () => meter.read(),
      stop: () => {
        session.end();
        leave();
      },
    };
  } catch (thrown) {
    leave();
    throw thrown;
  }
}
