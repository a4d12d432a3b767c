// A client of the SDK as an app has it, with all it was told, in order.
import { WebSocket } from "ws";
import Lockgate from "../../dist/lockgate.mjs";
import { Watched } from "./watched.mjs";

// Tests hear of everything by events.
Lockgate.LOG.setLogLevel(4);

const EVENTS = [
  "stream-added", "stream-removed", "mute-audio", "mute-video", "unmute-audio", "unmute-video",
  "update-url", "video-rotation", "error", "token-privilege-will-expire", "token-privilege-did-expire",
];

const members = new Set();

/** Ends every client that a test has left. */
export const leaveAll = () => Promise.allSettled([...members].map(({ client }) => client.destroy()));

export class Member extends Watched {
  /** Each as text: the event and whose it is. */
  events = [];
  /** The URLs that update-url brought, the newest last. */
  urls = [];
  states = [];
  /** Gets each event as it comes. */
  onEvent;
  #sockets = [];

  constructor(http, app = "live") {
    super();
    members.add(this);
    this.client = new Lockgate.Client();
    const sockets = this.#sockets;
    class Kept extends WebSocket {
      constructor(url) {
        super(url);
        sockets.push(this);
      }
    }
    const Wss = http.protocol === "https:";
    this.client.setParameters({
      ConfPriCloudAddr: { ServerAdd: http.hostname, Port: Number(http.port || 80), Wss },
      transport: Lockgate.webTransport({ WebSocket: Kept }),
    });
    for (const name of EVENTS) {
      this.client.on(name, (detail) => {
        const text = [name, detail?.uid ?? detail?.code].join(" ").trim();
        this.events.push(text);
        this.onEvent?.(text);
        if (name === "update-url") this.urls.push(detail.url);
        this.changed();
      });
    }
    this.client.on("connection-state-change", (current, previous, reason) => {
      this.states.push(reason ? `${current} ${reason}` : current);
      this.changed();
    });
    this.client.init(app);
  }

  static async join(node, channel, uid, app) {
    const member = new Member(node.http, app);
    await member.client.join(undefined, channel, uid);
    return member;
  }

  /** Waits for an event that was not waited for before, and says what came before it. */
  async heard(event) {
    const at = await this.until(event, () => this.events.indexOf(event) + 1);
    return this.events.splice(0, at).slice(0, -1);
  }

  /** Waits until the connection has been in a state for the `times`th time. */
  state(state, times = 1) {
    const seen = () => this.states.filter((each) => each.split(" ")[0] === state).length >= times;
    return this.until(`${state} ${times}`, seen);
  }

  /** Breaks the WebSocket without a word. */
  cut() {
    this.#sockets.at(-1).terminate();
  }

  describe() {
    return `[${this.events}] [${this.states}]`;
  }
}
