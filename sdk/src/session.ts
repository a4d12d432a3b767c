/**
 * One stay in a channel: gateway, WebSocket, Login, signs of life, and all of it again whenever it
 * breaks, with the same sid, until it is closed or the node ends it.
 *
 * It knows nothing of streams: what is to be told anew after a Login is `online`'s business.
 */
import type {
  ConnectionReason,
  ConnectionState,
  PrivateCloud,
  Socket,
  Transport,
} from "./api";
import * as times from "./defaults";
import { failure, failureOf } from "./errors";
import type { LockgateError } from "./errors";
import { askGateway, isFinal } from "./gateway";
import type { Direction } from "./gateway";
import type { Identity } from "./identity";
import { log } from "./log";
import { Requests } from "./requests";
import type { Request } from "./requests";

export interface SessionEvents {
  /** Logged in, and nothing else sent yet. */
  online(first: boolean): void;
  notice(cmd: string, content: any): void;
  state(current: ConnectionState, previous: ConnectionState, reason?: ConnectionReason): void;
  /** It is over, and not because this side closed it. */
  ended(error: LockgateError): void;
}

export class Session {
  private state: ConnectionState = "DISCONNECTED";
  private readonly requests = new Requests((cmd, content) => this.write(cmd, content));
  private socket: Socket | undefined;
  /** Grows with every attempt: what an older one still says is not listened to. */
  private attempt = 0;
  private failures = 0;
  private everOnline = false;
  private expired = false;
  private visible = true;
  private retryTimer: any;
  private loginTimer: any;
  private aliveTimer: any;
  private limitTimer: any;
  private probeTimer: any;
  private lastAnswer = 0;
  private unwatch: (() => void) | undefined;

  constructor(
    readonly identity: Identity,
    private readonly server: PrivateCloud,
    private readonly transport: Transport,
    private readonly events: SessionEvents,
  ) {}

  get connected(): boolean {
    return this.state === "CONNECTED";
  }

  open(again: boolean): void {
    this.become(again ? "RECONNECTING" : "CONNECTING");
    this.unwatch = this.transport.watch?.({
      onNetwork: (connected) => connected && this.wake(),
      onVisible: (visible) => {
        this.visible = visible;
        if (visible) this.wake();
      },
    });
    this.ask();
  }

  /** Says goodbye where it can, and is silent from then on. */
  async close(): Promise<void> {
    const online = this.connected;
    this.become("DISCONNECTING", "LEAVE");
    if (online) {
      const timeout = times.LOGOUT_TIMEOUT;
      const logout: Request = { cmd: "Logout", content: "", lasting: false, timeout };
      // Whatever the answer, this client has left.
      await this.requests.add(logout, true).catch(() => {});
    }
    this.stop(failure("ABORTED"), "LEAVE");
    this.become("DISCONNECTED", "LEAVE");
  }

  /** Stops without a word to the node, which keeps the member for its grace. */
  abandon(): void {
    this.stop(failure("ABORTED"), "NETWORK_ERROR");
    this.state = "DISCONNECTED";
  }

  request(request: Request): Promise<any> {
    return this.requests.add(request, this.connected);
  }

  /** Sends what is not answered. Without a connection it is dropped: `online` tells all anew. */
  tell(cmd: string, content: object): void {
    if (this.connected) this.write(cmd, content);
  }

  private ask(): void {
    const attempt = ++this.attempt;
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    const { sid, appId, channel, uid, token } = this.identity;
    askGateway(this.transport, this.server, { sid, appId, cname: channel, uid, token }).then(
      (direction) => {
        if (attempt === this.attempt) this.follow(direction);
      },
    );
  }

  private follow(direction: Direction): void {
    if (direction.kind === "refused") return this.over(direction.error);
    if (direction.kind === "again") {
      log.info("gateway:", direction.why);
      const jitter = Math.random() * times.GATEWAY_JITTER;
      return this.later(times.GATEWAY_RETRY + jitter);
    }
    const url = direction.urls[this.failures % direction.urls.length] as string;
    this.connect(url, direction.session);
  }

  private connect(url: string, gatewaySession: string): void {
    const attempt = this.attempt;
    const mine = (run: () => void) => () => {
      if (attempt === this.attempt) run();
    };
    // One thing after another, each with what the app does about it: some sockets hand out several
    // messages at once, and a stream must not be told before the join is.
    let turn = Promise.resolve();
    const inTurn = (run: () => void) => {
      turn = turn.then(mine(run)).catch((thrown) => log.error(String(thrown?.stack ?? thrown)));
    };
    this.loginTimer = setTimeout(mine(() => this.lost("NETWORK_ERROR")), times.LOGIN_TIMEOUT);
    try {
      this.socket = this.transport.connect(url, {
        onOpen: () => inTurn(() => this.login(gatewaySession)),
        onMessage: (text) => inTurn(() => this.receive(text)),
        onClose: (code, reason) => inTurn(() => this.closed(code, reason)),
      });
    } catch (thrown) {
      log.warn("connect:", String(thrown));
      this.lost("NETWORK_ERROR");
    }
  }

  private login(gatewaySession: string): void {
    const { appId, channel, uid, token, sid } = this.identity;
    this.write("Login", {
      ChanId: channel,
      ChanSId: gatewaySession,
      UserId: uid,
      UserSId: sid,
      SdkVer: times.SDK_VERSION,
      SessionId: "",
      AcsToken: token,
      Caps: times.CAPS,
    }, appId);
  }

  private receive(text: string): void {
    let cmd: unknown;
    let content: any;
    try {
      const envelope = JSON.parse(text);
      cmd = envelope.Cmd;
      content = envelope.Content ? JSON.parse(envelope.Content) : {};
    } catch {
      log.warn("a message that is not of the protocol");
      return;
    }
    if (typeof cmd !== "string") return;
    log.debug("<", cmd);
    if (cmd === "KeepAlive") this.alive();
    else if (cmd === "Login") this.loggedIn(content);
    else if (!this.requests.answer(cmd, content) && this.connected) {
      if (cmd === "TokenExpired") this.expired = true;
      this.events.notice(cmd, content);
    }
  }

  private loggedIn(answer: any): void {
    if (this.connected || this.state === "DISCONNECTING") return;
    const code = Number(answer?.Code ?? 0);
    if (code !== 0) {
      const error = failureOf(code, answer?.Msg);
      if (isFinal(code)) return this.over(error);
      log.info("login:", error.message);
      return this.lost("SERVER_ERROR");
    }
    clearTimeout(this.loginTimer);
    if (answer.UserId !== undefined && answer.UserId !== "") {
      this.identity.uid = String(answer.UserId);
    }
    const first = !this.everOnline;
    this.everOnline = true;
    const previous = this.state;
    this.state = "CONNECTED";
    this.lastAnswer = Date.now();
    this.limit();
    this.keepAlive();
    this.events.online(first);
    this.requests.flush();
    log.info("connected as", this.identity.uid);
    this.events.state("CONNECTED", previous);
  }

  private keepAlive(): void {
    clearTimeout(this.aliveTimer);
    this.write("KeepAlive", { time: String(Date.now()) });
    this.aliveTimer = setTimeout(() => this.keepAlive(), times.KEEPALIVE_EVERY);
  }

  private alive(): void {
    this.failures = 0;
    this.lastAnswer = Date.now();
    clearTimeout(this.probeTimer);
    this.limit();
  }

  private limit(): void {
    clearTimeout(this.limitTimer);
    this.limitTimer = setTimeout(() => this.lost("NETWORK_ERROR"), times.KEEPALIVE_LIMIT);
  }

  /** The phone is back: what waits is tried now, and what seems to stand is put to the test. */
  private wake(): void {
    if (this.retryTimer !== undefined) return this.ask();
    if (!this.connected) return;
    if (Date.now() - this.lastAnswer >= times.KEEPALIVE_LIMIT) return this.lost("NETWORK_ERROR");
    clearTimeout(this.probeTimer);
    this.probeTimer = setTimeout(() => this.lost("NETWORK_ERROR"), times.PROBE_LIMIT);
    this.keepAlive();
  }

  private closed(code: number, reason: string): void {
    log.info("closed:", code, reason);
    this.socket = undefined;
    const byPlan = code === 1000 || code === 1005;
    if (this.state === "DISCONNECTING") return this.requests.end(failure("ABORTED"));
    if (byPlan && reason === "UID_BANNED") return this.over(failure("UID_BANNED"));
    if (byPlan && reason === "UID_REPLACED") return this.over(failure("UID_REPLACED"));
    if (this.expired || (byPlan && reason === "TOKEN_EXPIRED")) return this.over(failure("TOKEN_EXPIRED"));
    // A phone closes the sockets of an app in the background, and gives no reason.
    const asleep = !reason && !this.visible;
    if (!byPlan || reason === "NETWORK_ERROR" || asleep || !this.connected) {
      return this.lost(code === 1006 || reason === "NETWORK_ERROR" ? "NETWORK_ERROR" : "SERVER_ERROR");
    }
    this.over(failure("CLOSED_BY_SERVER", reason || undefined), reason || "SERVER_CLOSED");
  }

  /** The connection is of no more use: another one, soon. */
  private lost(reason: ConnectionReason): void {
    const wasOnline = this.connected;
    this.drop(reason);
    this.requests.broke();
    if (this.state === "DISCONNECTING") return;
    if (wasOnline) this.become("RECONNECTING", reason);
    const ceiling = Math.min(times.BACKOFF_FIRST * 2 ** this.failures, times.BACKOFF_LAST);
    this.failures += 1;
    // At most half of it is chance, so that a retry is never at once and never much later.
    this.later(ceiling / 2 + (Math.random() * ceiling) / 2);
  }

  private later(ms: number): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.ask(), ms);
  }

  /** The node wants no more of it. */
  private over(error: LockgateError, reason: ConnectionReason = reasonOf(error.code)): void {
    this.stop(error, reason);
    this.become("DISCONNECTED", reason);
    this.events.ended(error);
  }

  private stop(error: LockgateError, reason: string): void {
    this.drop(reason);
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    this.unwatch?.();
    this.unwatch = undefined;
    this.requests.end(error);
  }

  /** Lets go of the socket and of all that belongs to it. */
  private drop(reason: string): void {
    this.attempt += 1;
    for (const timer of [this.loginTimer, this.aliveTimer, this.limitTimer, this.probeTimer]) {
      clearTimeout(timer);
    }
    const socket = this.socket;
    this.socket = undefined;
    try {
      socket?.close(1000, reason);
    } catch {
      // It is closed already.
    }
  }

  private become(state: ConnectionState, reason?: ConnectionReason): void {
    const previous = this.state;
    this.state = state;
    if (previous !== state) this.events.state(state, previous, reason);
  }

  private write(cmd: string, content: object | "", appId?: string): void {
    const text = content === "" ? "" : JSON.stringify(content);
    log.debug(">", cmd);
    try {
      this.socket?.send(
        JSON.stringify({ Cmd: cmd, AppId: appId, Encrypt: false, Content: text }),
      );
    } catch (thrown) {
      // The socket tells that it broke; until then the request waits for its answer.
      log.warn("send:", String(thrown));
    }
  }
}

function reasonOf(code: number): ConnectionReason {
  switch (code) {
    case 14:
      return "UID_BANNED";
    case 15:
      return "IP_BANNED";
    case 16:
      return "CHANNEL_BANNED";
    case 109:
      return "TOKEN_EXPIRED";
    case 110:
      return "TOKEN_INVALID";
    case 3011:
      return "UID_REPLACED";
    default:
      return "REFUSED";
  }
}
