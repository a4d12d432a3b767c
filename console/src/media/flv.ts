/**
 * Plays a stream's FLV through Media Source Extensions. By WebSocket: browsers open six connections
 * to a host for everything that is no WebSocket, so a page of a few players by HTTP could ask the
 * node nothing any more.
 */
import { ApiError } from "../api/client";
import type { Playing } from "./whep";

/** Where a stream's FLV is; `query` may carry a key. */
export const flvUrl = (app: string, name: string, query = ""): string =>
  `/${encodeURIComponent(app)}/${encodeURIComponent(name)}.flv${query && `?${query}`}`;

/** Seconds of a live stream that are kept before the screen. */
const BUFFER = 0.6;

/** From the request to the first picture or sound. */
const START_MS = 15_000;

export async function playFlv(
  url: string,
  video: HTMLVideoElement,
  stop: AbortSignal,
  over: () => void,
): Promise<Playing> {
  // Half of the console's weight, and many never need it.
  const { default: mpegts } = await import("mpegts.js");
  stop.throwIfAborted();
  if (!mpegts.isSupported()) throw new ApiError(0, "no_mse", "no_mse");
  mpegts.LoggingControl.enableAll = false;
  const absolute = new URL(url, location.href).href;
  const player = mpegts.createPlayer(
    // Of http and https, ws and wss.
    { type: "flv", isLive: true, url: absolute.replace(/^http/, "ws") },
    {
      // Its worker is a blob, which the page's policy lets no one run.
      enableWorker: false,
      enableStashBuffer: false,
      liveSync: true,
      liveSyncTargetLatency: BUFFER,
      liveSyncMaxLatency: 2 * BUFFER,
      autoCleanupSourceBuffer: true,
    },
  );
  let speed = 0;
  player.on(mpegts.Events.STATISTICS_INFO, (info: { speed?: number }) => (speed = info.speed ?? 0));
  const end = () => {
    player.destroy();
    video.removeAttribute("src");
    video.load();
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new ApiError(0, "no_picture", "no_picture")), START_MS);
      const settle = (run: () => void) => () => (clearTimeout(timer), run());
      let failed = false;
      player.on(mpegts.Events.ERROR, (kind: string, detail: string, info: { msg?: string }) => {
        failed = true;
        settle(() => void refusal(absolute, info?.msg ?? `${kind}: ${detail}`).then(reject))();
      });
      player.on(mpegts.Events.LOADING_COMPLETE, () => {
        // A WebSocket that failed closes as well.
        if (!failed) settle(() => reject(new ApiError(0, "ended", "ended")))();
      });
      video.addEventListener("loadeddata", settle(resolve), { once: true });
      stop.addEventListener("abort", settle(() => reject(stop.reason)), { once: true });
      player.attachMediaElement(video);
      player.load();
      void Promise.resolve(player.play()).catch(() => {});
    });
  } catch (thrown) {
    end();
    throw thrown;
  }
  player.on(mpegts.Events.ERROR, over);
  player.on(mpegts.Events.LOADING_COMPLETE, over);

  let before = { at: performance.now(), frames: 0 };
  return {
    protocol: "ws-flv",
    stop: end,
    stats: async () => {
      const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
      const now = { at: performance.now(), frames: totalVideoFrames };
      const fps = ((now.frames - before.frames) * 1000) / Math.max(1, now.at - before.at);
      before = now;
      const buffered = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : video.currentTime;
      return {
        fps,
        bitsPerSecond: speed * 1024 * 8,
        width: video.videoWidth,
        height: video.videoHeight,
        buffer: Math.max(0, buffered - video.currentTime),
        dropped: droppedVideoFrames,
      };
    },
  };
}

/** A WebSocket tells nothing of why it was refused; the node says it to whoever asks by HTTP. */
async function refusal(url: string, text: string): Promise<ApiError> {
  const stop = new AbortController();
  try {
    const answer = await fetch(url, { signal: AbortSignal.any([stop.signal, AbortSignal.timeout(2_000)]) });
    if (!answer.ok) {
      const body = await answer.clone().text();
      const { code, message, next } = JSON.parse(body) as Record<string, string>;
      return new ApiError(answer.status, code ?? "", message ?? text, next ?? "");
    }
  } catch {
    // What the player said has to do.
  } finally {
    stop.abort();
  }
  return new ApiError(0, "flv_failed", text);
}
