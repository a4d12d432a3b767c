/**
 * What live-pusher and live-player say, gathered and sent to the node as `Report`.
 *
 * A message every two seconds at most: of each component the newest net status, and every state since
 * the message before, so that short stalls are told too.
 */
import { REPORT_EVERY } from "./defaults";

/** What is new of one component. */
interface Side {
  States?: Array<{ Code: number; Message: string }>;
  Net?: Record<string, number | string>;
}

/** States in one message; the node takes no more. */
const STATES = 20;

/** Fields of one net status; a component has about twenty. */
const FIELDS = 40;

export class Reports {
  private pusher: Side | undefined;
  private players: Record<string, Side> = {};
  private timer: any;

  constructor(private readonly send: (report: object) => void) {}

  pusherState(e: unknown): boolean {
    return this.state(() => (this.pusher ??= {}), e);
  }

  pusherNet(e: unknown): boolean {
    return this.net(() => (this.pusher ??= {}), e);
  }

  playerState(uid: string, e: unknown): boolean {
    return this.state(() => this.player(uid), e);
  }

  playerNet(uid: string, e: unknown): boolean {
    return this.net(() => this.player(uid), e);
  }

  /** A player that is no more: nothing is said of it. */
  gone(uid: string): void {
    delete this.players[uid];
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pusher = undefined;
    this.players = {};
  }

  private player(uid: string): Side {
    return (this.players[uid] ??= {});
  }

  private state(side: () => Side, e: unknown): boolean {
    const detail = detailOf(e);
    const code = Number(detail?.code);
    if (!detail || !Number.isInteger(code)) return false;
    const message = String(detail.message ?? detail.errMsg ?? "").slice(0, 100);
    const mine = side();
    mine.States = [...(mine.States ?? []), { Code: code, Message: message }].slice(-STATES);
    this.soon();
    return true;
  }

  private net(side: () => Side, e: unknown): boolean {
    const detail = detailOf(e);
    const info = detail?.info ?? detail;
    if (!info || typeof info !== "object") return false;
    const net: Record<string, number | string> = {};
    for (const name of Object.keys(info).slice(0, FIELDS)) {
      const value = info[name];
      if (typeof value === "number") net[name] = value;
      else if (typeof value === "string") net[name] = value.slice(0, 100);
    }
    if (!Object.keys(net).length) return false;
    side().Net = net;
    this.soon();
    return true;
  }

  private soon(): void {
    this.timer ??= setTimeout(() => this.flush(), REPORT_EVERY);
  }

  private flush(): void {
    const players = Object.keys(this.players).map((uid) => ({ UserId: uid, ...this.players[uid] }));
    const report = { ...(this.pusher && { Pusher: this.pusher }), ...(players.length && { Players: players }) };
    this.stop();
    if (Object.keys(report).length) this.send(report);
  }
}

/** Both the event and its `detail` are taken. */
function detailOf(e: any): any {
  const detail = e?.detail ?? e;
  return detail && typeof detail === "object" ? detail : undefined;
}
