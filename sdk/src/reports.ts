/**
 * What live-pusher and live-player say, gathered and sent to the node as `Report`.
 *
 * A message every two seconds at most: the newest net status and the newest state of each component.
 * A state that comes while another waits sends that one first, so that short stalls are told too.
 */
import { REPORT_EVERY, REPORT_GAP } from "./defaults";

/** The newest of one component. */
interface Side {
  State?: { code: number; message: string };
  Net?: Record<string, number | string>;
}

/** Fields of one net status; a component has about twenty. */
const FIELDS = 40;

export class Reports {
  private pusher: Side | undefined;
  private players: Record<string, Side | null> = {};
  private timer: any;
  private sentAt = 0;

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

  /** A player that is no more. */
  gone(uid: string): void {
    this.players[uid] = null;
    this.soon();
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
    if (side().State && Date.now() - this.sentAt >= REPORT_GAP) this.flush();
    const message = String(detail.message ?? detail.errMsg ?? "").slice(0, 100);
    side().State = { code, message };
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
    const report = { ...(this.pusher && { Pusher: this.pusher }), Players: this.players };
    this.stop();
    this.sentAt = Date.now();
    this.send(report);
  }
}

/** Both the event and its `detail` are taken. */
function detailOf(e: any): any {
  const detail = e?.detail ?? e;
  return detail && typeof detail === "object" ? detail : undefined;
}
