/**
 * The client that apps hold: it reads what they pass in, refuses what cannot be, and hands the rest
 * to the room and its session.
 */
import type {
  Client,
  ComponentEvent,
  EventName,
  OnFailure,
  Parameters,
  PrivateCloud,
  Subscription,
  Transport,
  Uid,
} from "./api";
import { Emitter } from "./emitter";
import { failure } from "./errors";
import type { LockgateError } from "./errors";
import { newSid, sameMember } from "./identity";
import type { Identity } from "./identity";
import { log, uploadThrough } from "./log";
import { Uids, channelName, kindsOf, ownUid, targetOf, tokenText, uidText } from "./names";
import { readParameters } from "./parameters";
import type { Forms } from "./parameters";
import { platformTransport } from "./platform/platform";
import { Reports } from "./reports";
import { Room } from "./room";
import { Session } from "./session";
import { settle } from "./settle";

type Ok<T extends unknown[] = []> = ((...args: T) => void) | null;
type Fail = OnFailure | null;

/** A channel that was joined, or is being joined. */
interface Stay {
  room: Room;
  session: Session;
  joined: boolean;
  /** Ends the `join` that still runs. */
  reject(error: LockgateError): void;
  stopLogs(): void;
}

export class LockgateClient implements Client {
  private readonly emitter = new Emitter();
  private readonly reports = new Reports((report) => this.stay?.session.tell("Report", report));
  private appId: string | undefined;
  private destroyed = false;
  private server: PrivateCloud | undefined;
  private transport: Transport | undefined;
  private forms: Forms = { pull: undefined, push: undefined };
  private role: "Host" | "Audience" | undefined;
  private stay: Stay | undefined;
  /** What `rejoin` may go on with. */
  private last: { identity: Identity; room: Room } | undefined;

  init(appId: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      if (typeof appId !== "string" || !appId) throw failure("INVALID_ARGUMENT", "an appId is text");
      // Apps that rejoin call it again.
      if (this.stay && this.appId !== appId) throw failure("ALREADY_JOINED");
      this.appId = appId;
      this.destroyed = false;
    });
  }

  destroy(onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, async () => {
      this.mustLive();
      this.destroyed = true;
      if (this.stay) await this.depart();
      this.emitter.clear();
      this.appId = undefined;
      this.role = undefined;
      this.last = undefined;
    });
  }

  join(token: any, channel: string, uid?: any, onSuccess?: Ok<[Uid]>, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      const identity = this.identity(token, channel, uid);
      if (this.stay) throw failure("ALREADY_JOINED");
      return this.enter(identity, this.newRoom(identity, uid), false);
    });
  }

  rejoin(
    token: any,
    channel: string,
    uid: any,
    uids: Uid[],
    onSuccess?: Ok<[Uid]>,
    onFailure?: Fail,
  ): any {
    return this.settle(onSuccess, onFailure, () => {
      const identity = this.identity(token, channel, uid);
      if (uids !== undefined && uids !== null && !Array.isArray(uids)) {
        throw failure("INVALID_ARGUMENT", "uids is an array");
      }
      const shown = (uids ?? []).map((each) => [each, uidText(each)] as const);
      const last = this.stay ? { identity: this.stay.session.identity, room: this.stay.room } : this.last;
      this.abandon();
      // The same member of the same channel: the node may still hold what it had.
      const same = last && sameMember(last.identity, identity);
      if (same) {
        identity.sid = last.identity.sid;
        identity.uid = last.identity.uid;
      }
      const room = same ? last.room : this.newRoom(identity, uid);
      if (same) room.uids.own(uid, identity.uid);
      for (const [given, text] of shown) room.uids.learn(given, text);
      room.adopt(shown.map(([, text]) => text));
      return this.enter(identity, room, true);
    });
  }

  leave(onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      this.mustLive();
      if (!this.stay) throw failure("NOT_JOINED");
      return this.depart();
    });
  }

  publish(...args: any[]): any {
    const [target, onSuccess, onFailure] = typeof args[0] === "function" ? ["all", ...args] : args;
    return this.settle(onSuccess, onFailure, () => {
      const wanted = targetOf(target ?? "all");
      const { room } = this.joined();
      if (room.role === "Audience") throw failure("AUDIENCE_MAY_NOT_PUBLISH");
      return room.publish(wanted);
    });
  }

  unpublish(onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      const { room } = this.joined();
      if (!room.publishing) throw failure("NOT_PUBLISHED");
      return room.unpublish();
    });
  }

  subscribe(uid: Uid, onSuccess?: Ok<[string, number]>, onFailure?: Fail): any {
    const both = ({ url, rotation }: Subscription) => [url, rotation];
    return this.settle(onSuccess, onFailure, () => this.withUser(uid, (room, text) => room.subscribe(text)), both);
  }

  unsubscribe(uid: Uid, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () =>
      this.withUser(uid, (room, text) => {
        if (!room.subscribedTo(text)) throw failure("NOT_SUBSCRIBED");
        this.reports.gone(text);
        return room.unsubscribe(text);
      }),
    );
  }

  mute(uid: Uid, target: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => this.setMute(uid, target, true));
  }

  unmute(uid: Uid, target: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => this.setMute(uid, target, false));
  }

  muteLocal(target: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => this.joined().room.muteLocal(kindsOf(target), true));
  }

  unmuteLocal(target: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => this.joined().room.muteLocal(kindsOf(target), false));
  }

  setRole(role: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      this.mustLive();
      if (role !== "broadcaster" && role !== "audience") {
        throw failure("INVALID_ARGUMENT", 'a role is "broadcaster" or "audience"');
      }
      const wire = role === "audience" ? "Audience" : "Host";
      const before = this.role;
      this.role = wire;
      if (this.stay?.joined) {
        return this.stay.room.setRole(wire).catch((thrown) => {
          if (this.role === wire) this.role = before;
          throw thrown;
        });
      }
      // Kept for the join that comes, or that runs.
      if (this.stay) this.stay.room.role = wire;
      return undefined;
    });
  }

  renewToken(token: string, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, async () => {
      const text = tokenText(token);
      if (!text) throw failure("INVALID_ARGUMENT", "a token is text");
      const { session } = this.joined();
      await session.request({ cmd: "RenewToken", content: { AcsToken: text } });
      session.identity.token = text;
    });
  }

  setParameters(parameters: Parameters, onSuccess?: Ok, onFailure?: Fail): any {
    return this.settle(onSuccess, onFailure, () => {
      const { server, transport, forms } = readParameters(parameters);
      this.server = server ?? this.server;
      this.forms = { pull: forms.pull ?? this.forms.pull, push: forms.push ?? this.forms.push };
      this.transport = transport ?? this.transport;
    });
  }

  on(event: EventName, callback: any): void {
    this.listen(event, callback, false);
  }

  once(event: EventName, callback: any): void {
    this.listen(event, callback, true);
  }

  off(event: EventName, callback?: any): void {
    this.emitter.remove(event, callback);
  }

  updatePusherStateChange(e: ComponentEvent): void {
    this.report("updatePusherStateChange", () => this.reports.pusherState(e));
  }

  updatePusherNetStatus(e: ComponentEvent): void {
    this.report("updatePusherNetStatus", () => this.reports.pusherNet(e));
  }

  updatePlayerStateChange(uid: Uid, e: ComponentEvent): void {
    this.report("updatePlayerStateChange", () => this.reports.playerState(this.playing(uid), e));
  }

  updatePlayerNetStatus(uid: Uid, e: ComponentEvent): void {
    this.report("updatePlayerNetStatus", () => this.reports.playerNet(this.playing(uid), e));
  }

  // From here on: how it is done.

  private settle<T>(
    onSuccess: unknown,
    onFailure: unknown,
    action: () => T | Promise<T>,
    spread?: (value: T) => unknown[],
  ): any {
    return settle(action, onSuccess, onFailure, (error) => this.tellError(error), spread);
  }

  private tellError(error: LockgateError): void {
    log.warn(error.message);
    this.emitter.emit("error", error);
  }

  private mustLive(): void {
    if (this.destroyed) throw failure("DESTROYED");
  }

  private joined(): Stay {
    this.mustLive();
    if (!this.stay?.joined) throw failure("NOT_JOINED");
    return this.stay;
  }

  private withUser<T>(uid: Uid, action: (room: Room, text: string) => T): T {
    const text = uidText(uid);
    const { room } = this.joined();
    room.uids.learn(uid, text);
    return action(room, text);
  }

  private setMute(uid: Uid, target: string, muted: boolean): void {
    const kinds = kindsOf(target);
    const text = uidText(uid);
    const { room } = this.joined();
    if (!room.knows(text)) throw failure("UNKNOWN_USER");
    room.mute(text, kinds, muted);
  }

  private listen(event: EventName, callback: any, once: boolean): void {
    if (typeof callback !== "function") {
      return this.tellError(failure("INVALID_ARGUMENT", "a listener is a function"));
    }
    if (!Emitter.knows(event)) log.warn("no event is called", event);
    this.emitter.add(event, callback, once);
  }

  private report(what: string, take: () => boolean): void {
    try {
      this.joined();
      if (!take()) throw failure("INVALID_ARGUMENT", "an event of the component, or its detail");
    } catch (thrown) {
      // It comes every two seconds from every component: a line in the log is loud enough.
      log.warn(what, (thrown as LockgateError).message);
    }
  }

  private playing(uid: Uid): string {
    const text = uidText(uid);
    if (!this.joined().room.subscribedTo(text)) throw failure("NOT_SUBSCRIBED");
    return text;
  }

  private identity(token: unknown, channel: unknown, uid: unknown): Identity {
    this.mustLive();
    if (!this.appId) throw failure("NOT_INITIALIZED");
    if (!this.server) throw failure("NO_SERVER");
    return {
      appId: this.appId,
      channel: channelName(channel),
      uid: ownUid(uid),
      token: tokenText(token),
      sid: newSid(),
    };
  }

  private newRoom(identity: Identity, uid: unknown): Room {
    const uids = new Uids();
    uids.own(uid, identity.uid);
    const emit = (event: EventName, ...args: any[]) => this.emitEvent(event, args);
    return new Room(identity.channel, uids, emit, this.forms);
  }

  private emitEvent(event: EventName, args: any[]): void {
    if (event === "error") log.warn((args[0] as LockgateError).message);
    (this.emitter.emit as any).call(this.emitter, event, ...args);
  }

  private enter(identity: Identity, room: Room, again: boolean): Promise<Uid> {
    const transport = this.transport ?? platformTransport();
    if (!transport) throw failure("NO_TRANSPORT");
    return new Promise((resolve, reject) => {
      const session = new Session(identity, this.server as PrivateCloud, transport, {
        online: (first) => {
          room.restore(first && !again);
          if (stay.joined) return;
          stay.joined = true;
          resolve(room.uids.of(identity.uid));
        },
        notice: (cmd, content) => this.notice(room, cmd, content),
        state: (current, previous, reason) =>
          this.emitEvent("connection-state-change", [current, previous, reason]),
        ended: (error) => this.ended(stay, error),
      });
      const stay: Stay = { room, session, joined: false, reject, stopLogs: () => {} };
      stay.stopLogs = uploadThrough((lines) => upload(session, lines));
      this.stay = stay;
      if (this.role) room.role = this.role;
      room.attach(session);
      session.open(again);
    });
  }

  private notice(room: Room, cmd: string, content: any): void {
    if (cmd === "TokenWillExpire") return this.emitEvent("token-privilege-will-expire", []);
    if (cmd === "TokenExpired") return this.emitEvent("token-privilege-did-expire", []);
    const uid = String(content?.UserId ?? "");
    if (!uid) return log.info("left out:", cmd);
    switch (cmd) {
      case "StreamAdded":
        return room.added(uid);
      case "StreamRemove":
        if (room.subscribedTo(uid)) this.reports.gone(uid);
        return room.removed(uid);
      case "UserAudStatus":
        return room.status(uid, "audio", content.Audio === true);
      case "UserVidStatus":
        return room.status(uid, "video", content.Video === true);
      case "UpdateUrl":
        return room.moved(uid, String(content.Url));
      case "VideoRotation":
        return room.rotated(uid, Number(content.Rotation) || 0);
      default:
        log.info("not known:", cmd);
    }
  }

  /** The node ended it: by refusing the join, or later. */
  private ended(stay: Stay, error: LockgateError): void {
    this.forget(stay);
    if (stay.joined) this.emitEvent("error", [error]);
    else stay.reject(error);
  }

  private async depart(): Promise<void> {
    const stay = this.stay as Stay;
    this.forget(stay);
    this.last = undefined;
    if (!stay.joined) stay.reject(failure("ABORTED"));
    await stay.session.close();
  }

  /** Lets go of a stay without a word to the node. */
  private abandon(): void {
    const stay = this.stay;
    if (!stay) return;
    this.forget(stay);
    stay.session.abandon();
    if (!stay.joined) stay.reject(failure("ABORTED"));
  }

  private forget(stay: Stay): void {
    this.stay = undefined;
    this.last = { identity: stay.session.identity, room: stay.room };
    this.reports.stop();
    stay.room.end();
    stay.stopLogs();
  }
}

async function upload(session: Session, lines: string[]): Promise<void> {
  if (!session.connected) throw failure("NOT_JOINED");
  session.tell("Report", { Time: Date.now(), Log: lines });
}
