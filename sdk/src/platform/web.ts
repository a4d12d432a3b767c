/** The network of browsers and of Node: `fetch`, `WebSocket`, and a page's life where there is one. */
import type { LifeEvents, Socket, SocketEvents, Transport, WebParts } from "../api";

declare const globalThis: any;
declare const window: any;
declare const document: any;
declare const navigator: any;
declare const AbortController: any;

/** The parts that are not given are the platform's own; without one it is no transport. */
export function webTransport(parts: WebParts = {}): Transport | undefined {
  const own: any = typeof globalThis === "undefined" ? {} : globalThis;
  const fetch: any = parts.fetch ?? own.fetch;
  const WebSocket: any = parts.WebSocket ?? own.WebSocket;
  if (typeof fetch !== "function" || typeof WebSocket !== "function") return undefined;
  return {
    post: (url, body, timeout) => post(fetch, url, body, timeout),
    connect: (url, events) => connect(WebSocket, url, events),
    watch,
  };
}

async function post(
  fetch: any,
  url: string,
  body: string,
  timeout: number,
): Promise<{ status: number; body: string }> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeout);
  try {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url, { method: "POST", headers, body, signal: abort.signal });
    return { status: answer.status, body: await answer.text() };
  } finally {
    clearTimeout(timer);
  }
}

function connect(WebSocket: any, url: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url);
  let ended = false;
  const end = (code: number, reason: string) => {
    if (ended) return;
    ended = true;
    events.onClose(code, reason);
  };
  socket.onopen = () => ended || events.onOpen();
  socket.onmessage = (message: any) => ended || events.onMessage(String(message.data));
  socket.onclose = (close: any) => end(close.code, close.reason ?? "");
  // A close follows, with its code.
  socket.onerror = () => {};
  return {
    send: (text) => socket.send(text),
    close: (code, reason) => {
      ended = true;
      socket.close(code, reason);
    },
  };
}

function watch(events: LifeEvents): () => void {
  const undo: Array<() => void> = [];
  const listen = (target: any, event: string, callback: () => void) => {
    if (typeof target?.addEventListener !== "function") return;
    target.addEventListener(event, callback);
    undo.push(() => target.removeEventListener(event, callback));
  };
  const page = typeof window === "undefined" ? undefined : window;
  const shown = typeof document === "undefined" ? undefined : document;
  const network = typeof navigator === "undefined" ? undefined : navigator.connection;
  listen(page, "online", () => events.onNetwork(true));
  listen(page, "offline", () => events.onNetwork(false));
  listen(network, "change", () => events.onNetwork(navigator.onLine !== false));
  listen(shown, "visibilitychange", () => events.onVisible(shown.visibilityState !== "hidden"));
  return () => undo.forEach((stop) => stop());
}
