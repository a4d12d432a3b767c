/** How media arrives or leaves here, by what the browser counts. */

export interface MediaStats {
  /** Frames decoded or sent in a second. */
  fps?: number;
  bitsPerSecond?: number;
  audioBitsPerSecond?: number;
  width?: number;
  height?: number;
  /** Seconds that packets' arrivals vary by. */
  jitter?: number;
  /** The share of packets that did not arrive. */
  loss?: number;
  /** Seconds between arrival and the screen. */
  buffer?: number;
  /** Seconds to the node and back. */
  roundTrip?: number;
  /** How often the picture stood still. */
  freezes?: number;
  /** Frames that were decoded too late, or not. */
  dropped?: number;
  codec?: string;
}

interface Counters {
  at: number;
  frames: number;
  video: number;
  audio: number;
  packets: number;
  lost: number;
  held: number;
  emitted: number;
}

/** Reads a peer connection's counters; rates are over the time since the reading before. */
export class RtcMeter {
  private before: Counters | undefined;

  constructor(
    private readonly peer: RTCPeerConnection,
    private readonly direction: "inbound-rtp" | "outbound-rtp",
  ) {}

  async read(): Promise<MediaStats> {
    const stats: MediaStats = {};
    const now: Counters = { at: 0, frames: 0, video: 0, audio: 0, packets: 0, lost: 0, held: 0, emitted: 0 };
    const report: Map<string, any> = (await this.peer.getStats()) as any;
    for (const entry of report.values()) {
      if (entry.type === "candidate-pair" && entry.nominated) stats.roundTrip ??= entry.currentRoundTripTime;
      if (entry.type === "remote-inbound-rtp" && entry.kind === "video") {
        stats.loss = entry.fractionLost;
        stats.jitter = entry.jitter;
      }
      if (entry.type !== this.direction) continue;
      now.at = Math.max(now.at, entry.timestamp);
      const bytes = entry.bytesReceived ?? entry.bytesSent ?? 0;
      now.packets += entry.packetsReceived ?? 0;
      now.lost += entry.packetsLost ?? 0;
      if (entry.kind === "audio") {
        now.audio += bytes;
        continue;
      }
      now.video += bytes;
      now.frames += entry.framesDecoded ?? entry.framesEncoded ?? 0;
      now.held += entry.jitterBufferDelay ?? 0;
      now.emitted += entry.jitterBufferEmittedCount ?? 0;
      stats.width = entry.frameWidth;
      stats.height = entry.frameHeight;
      stats.freezes = entry.freezeCount;
      stats.dropped = entry.framesDropped;
      if (this.direction === "inbound-rtp") stats.jitter = entry.jitter;
      stats.codec = report.get(entry.codecId)?.mimeType?.split("/")[1];
    }
    const before = this.before;
    this.before = now;
    if (before && now.at > before.at) {
      const seconds = (now.at - before.at) / 1000;
      stats.fps = (now.frames - before.frames) / seconds;
      stats.bitsPerSecond = ((now.video - before.video + now.audio - before.audio) * 8) / seconds;
      stats.audioBitsPerSecond = ((now.audio - before.audio) * 8) / seconds;
      const [lost, came] = [now.lost - before.lost, now.packets - before.packets];
      if (this.direction === "inbound-rtp" && came > 0) stats.loss = Math.max(0, lost) / (came + Math.max(0, lost));
      const emitted = now.emitted - before.emitted;
      if (emitted > 0) stats.buffer = (now.held - before.held) / emitted;
    }
    return stats;
  }
}
