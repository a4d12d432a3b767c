/** The one request of WHIP (RFC 9725) and of WHEP: an offer for an answer. */
import { ApiError, errorOf } from "../api/client";

/** The node's own wait for a publisher is 10 s. */
const ANSWER_MS = 15_000;

/** From the answer to media that may flow. */
const CONNECT_MS = 10_000;

/** A session at the node: what ends it. */
export interface Session {
  end(): void;
}

/** Where media of a stream is asked for; `query` may carry a key. */
export const endpoint = (app: string, name: string, kind: "whip" | "whep", query = ""): string =>
  `/${encodeURIComponent(app)}/${encodeURIComponent(name)}/${kind}${query && `?${query}`}`;

/** Offers what the connection is set up for, and waits until it is connected. */
export async function negotiate(peer: RTCPeerConnection, url: string, stop: AbortSignal): Promise<Session> {
  await peer.setLocalDescription(await peer.createOffer());
  const headers = { "content-type": "application/sdp", accept: "application/sdp" };
  const body = peer.localDescription?.sdp ?? "";
  let answer: Response;
  try {
    // Not cut short by `stop`: the session that the node may have made by then has to be ended.
    answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch (cause) {
    stop.throwIfAborted();
    throw new ApiError(0, "no_answer", String((cause as Error).message));
  }
  if (!answer.ok) throw await errorOf(answer);
  const location = answer.headers.get("location");
  const session: Session = {
    end: () => {
      // Also while the page is being closed.
      if (location) void fetch(new URL(location, answer.url), { method: "DELETE", keepalive: true }).catch(() => {});
    },
  };
  try {
    stop.throwIfAborted();
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    await connected(peer, stop);
    return session;
  } catch (thrown) {
    session.end();
    throw thrown;
  }
}

function connected(peer: RTCPeerConnection, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new ApiError(0, "no_media_path", "no_media_path"));
    const timer = setTimeout(fail, CONNECT_MS);
    const look = () => {
      const state = peer.connectionState;
      if (state === "connected") resolve();
      else if (state === "failed" || state === "closed") fail();
      else return;
      clearTimeout(timer);
    };
    peer.addEventListener("connectionstatechange", look);
    stop.addEventListener("abort", () => (clearTimeout(timer), reject(stop.reason)));
    look();
  });
}

/** Calls back once, when a connection that stood is over, and not by this side. */
export function onOver(peer: RTCPeerConnection, over: () => void): void {
  const look = () => {
    if (peer.connectionState !== "failed" && peer.connectionState !== "closed") return;
    peer.removeEventListener("connectionstatechange", look);
    over();
  };
  peer.addEventListener("connectionstatechange", look);
}
