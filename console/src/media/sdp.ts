/** The one request of WHIP (RFC 9725) and of WHEP: an offer for an answer. */
import { ApiError, errorOf } from "../api/client";

/** The node's own wait for a publisher is 10 s. */
const ANSWER_MS = 15_000;

/** From the answer to media that may flow. */
const CONNECT_MS = 10_000;

/** A session at the node. */
export interface Session {
  /** Ends it, and closes the connection once the node knows: a connection that closes ends it too. */
  end(): void;
}

/** Where media of a stream is asked for; `query` may carry a key. */
export const endpoint = (app: string, name: string, kind: "whip" | "whep", query = ""): string =>
  `/${encodeURIComponent(app)}/${encodeURIComponent(name)}/${kind}${query && `?${query}`}`;

/** Offers what the connection is set up for, and waits until it is connected; closes it if it never is. */
export async function negotiate(peer: RTCPeerConnection, url: string, stop: AbortSignal): Promise<Session> {
  let location: URL | undefined;
  const session: Session = {
    end: () => {
      if (!location) return peer.close();
      // Also while the page is being closed.
      const asked = fetch(location, { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(ANSWER_MS) });
      void asked.catch(() => {}).then(() => peer.close());
    },
  };
  try {
    const answer = await ask(peer, url, stop);
    const path = answer.headers.get("location");
    location = path ? new URL(path, answer.url) : undefined;
    stop.throwIfAborted();
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    await connected(peer, stop);
    return session;
  } catch (thrown) {
    session.end();
    throw thrown;
  }
}

async function ask(peer: RTCPeerConnection, url: string, stop: AbortSignal): Promise<Response> {
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
  return answer;
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

/** Calls back once, when a connection that stood is over before it was stopped. */
export function onOver(peer: RTCPeerConnection, stop: AbortSignal, over: () => void): void {
  const look = () => {
    if (peer.connectionState !== "failed" && peer.connectionState !== "closed") return;
    peer.removeEventListener("connectionstatechange", look);
    if (!stop.aborted) over();
  };
  peer.addEventListener("connectionstatechange", look);
}
