// The fake node without a network, for tests in which time is the test's.
import { mock } from "node:test";
import Lockgate from "../../dist/lockgate.mjs";
import { FakeNode } from "./node.mjs";

/** A transport whose other end is `node`. With `offline` nothing gets through. */
export class MemoryTransport {
  constructor(node) {
    this.node = node;
    this.offline = false;
    this.posts = [];
    this.sockets = [];
    this.life = undefined;
  }

  async post(url, body) {
    this.posts.push({ url, at: Date.now() });
    if (this.offline) throw new Error("offline");
    const reply = this.node.gateway(JSON.parse(body));
    if (reply === "no answer") throw new Error("no answer");
    return typeof reply === "string"
      ? { status: 502, body: reply }
      : { status: 200, body: JSON.stringify(reply) };
  }

  connect(url, events) {
    this.sockets.push({ url, at: Date.now() });
    let open = true;
    if (this.offline || this.refuse) {
      queueMicrotask(() => events.onClose(1006, ""));
      return { send() {}, close() {} };
    }
    const wire = {
      send: (text) => queueMicrotask(() => open && !this.offline && events.onMessage(text)),
      close: (code, reason) =>
        queueMicrotask(() => {
          if (!open) return;
          open = false;
          events.onClose(code, reason);
        }),
    };
    const session = this.node.accept(wire, url);
    queueMicrotask(() => open && events.onOpen());
    return {
      send: (text) => queueMicrotask(() => open && !this.offline && session.receive(text)),
      close: (code, reason) => {
        open = false;
        session.closed(code, reason);
      },
    };
  }

  watch(events) {
    this.life = events;
    return () => (this.life = undefined);
  }
}

/** Lets everything happen that is due now. */
export async function settled() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets time pass, in steps in which answers arrive. */
export async function pass(ms) {
  for (let left = ms; left > 0; left -= 100) {
    mock.timers.tick(Math.min(left, 100));
    await settled();
  }
}

/** A client of a fake node, in stopped time. */
export function stage(t, node = new FakeNode()) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 });
  t.after(() => mock.timers.reset());
  return actor(node);
}

export function actor(node) {
  const transport = new MemoryTransport(node);
  const client = new Lockgate.Client();
  client.setParameters({ ConfPriCloudAddr: { ServerAdd: "node.test", Port: 8080, Wss: false }, transport });
  client.init("app");
  const heard = listen(client);
  return { node, transport, client, heard };
}

const EVENTS = [
  "stream-added", "stream-removed", "mute-audio", "mute-video", "unmute-audio", "unmute-video",
  "update-url", "video-rotation", "error", "connection-state-change",
  "token-privilege-will-expire", "token-privilege-did-expire",
];

/** Every event as `[name, ...arguments]`; those of the connection apart. */
export function listen(client) {
  const heard = { events: [], states: [] };
  for (const name of EVENTS) {
    client.on(name, (...args) => {
      if (name === "connection-state-change") heard.states.push(args);
      else heard.events.push([name, ...args]);
    });
  }
  return heard;
}

/** An error as apps see it. */
export const plain = ({ code, reason }) => ({ code, reason });
