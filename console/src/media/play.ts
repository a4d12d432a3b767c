/** Plays a stream by what works: WHEP, and FLV where that cannot carry it. */
import { ApiError } from "../api/client";
import { playFlv } from "./flv";
import { playWhep } from "./whep";
import type { Playing } from "./whep";

export type Way = "auto" | "whep" | "ws-flv";

/** The same stream by both. */
export interface Urls {
  whep: string;
  flv: string;
}

/** Refusals of the stream or the viewer, which FLV would meet with as well. */
const FINAL = ["unknown_app", "bad_name", "stream_not_found", "key_missing", "key_wrong", "signed_only", "url_dead"];

export interface Played extends Playing {
  /** Why it is not WHEP, where that was tried. */
  instead?: ApiError;
}

export async function play(
  way: Way,
  urls: Urls,
  video: HTMLVideoElement,
  stop: AbortSignal,
  over: () => void,
): Promise<Played> {
  if (way === "ws-flv") return playFlv(urls.flv, video, stop, over);
  try {
    return await playWhep(urls.whep, video, stop, over);
  } catch (thrown) {
    stop.throwIfAborted();
    const instead = asApiError(thrown);
    if (way === "whep" || FINAL.includes(instead.code)) throw instead;
    const played = await playFlv(urls.flv, video, stop, over);
    return { ...played, instead };
  }
}

export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError(0, "browser", String((thrown as Error)?.message ?? thrown));
}
