/**
 * What the app wants of its channel and what it was told: role, publication, users, mutes.
 *
 * This outlives connections. Whatever the node forgets, `restore` tells it again, in an order in
 * which nothing is heard or seen that was muted.
 */
import type { EventName, Target } from "./api";
import { LOST_AFTER, RECHECK_AFTER } from "./defaults";
import { LockgateError, errors } from "./errors";
import { log } from "./log";
import type { Kinds, Uids } from "./names";
import type { Forms } from "./parameters";
import { DROPPED } from "./requests";
import type { Session } from "./session";

/** A user whose stream the app was told of, or that it subscribed to. */
interface Remote {
  /** stream-added was told. */
  announced: boolean;
  subscribed: boolean;
  url?: string;
  rotation: number;
  /** What this client does not want; `undefined` until it first said so. */
  muted?: Kinds;
  /** What the user sends. */
  sends: Kinds;
  /** What it did not send before the connection broke, and may send now. */
  unsure?: Kinds;
  /** The app is to be told the URL, changed or not. */
  tellUrl?: boolean;
  /** The connection in which it was last told of. */
  seen: number;
  /** Runs while it is not known whether the user is still there. */
  lost?: any;
  /** Runs while `unsure` holds. */
  recheck?: any;
}

const BOTH: Kinds = { audio: true, video: true };

export type Emit = (event: EventName, ...args: any[]) => void;

export class Room {
  /** `undefined`: never set, which is a broadcaster. */
  role: "Host" | "Audience" | undefined;
  /** What is published. */
  private target: Target | undefined;
  private pushUrl: string | undefined;
  private local: Kinds | undefined;
  private readonly remotes = new Map<string, Remote>();
  private session!: Session;
  private connection = 0;

  constructor(
    readonly channel: string,
    readonly uids: Uids,
    private readonly emit: Emit,
    private readonly forms: Forms,
  ) {}

  /** From now on this session is asked. */
  attach(session: Session): void {
    this.session = session;
  }

  // What the app wants.

  // What is asked counts from the call on, so that the next call need not wait for the answer.

  async setRole(role: "Host" | "Audience"): Promise<void> {
    const before = this.role;
    this.role = role;
    try {
      await this.session.request({ cmd: "SetRole", content: { Role: role } });
    } catch (thrown) {
      if (this.role === role) this.role = before;
      throw thrown;
    }
    // An audience's push URL is dead.
    if (role === "Audience") this.unpublished();
  }

  async publish(target: Target): Promise<string> {
    const before = this.target;
    this.target = target;
    try {
      const content = this.publishContent(target);
      const answer = await this.session.request({ cmd: "Publish", content });
      return (this.pushUrl = String(answer.PushUrl));
    } catch (thrown) {
      if (this.target === target) this.target = before;
      throw thrown;
    }
  }

  async unpublish(): Promise<void> {
    this.unpublished();
    await this.session.request({ cmd: "UnPublish", content: "" });
  }

  async subscribe(uid: string): Promise<{ url: string; rotation: number }> {
    const remote = this.remote(uid);
    remote.subscribed = true;
    try {
      this.learn(remote, await this.ask(uid, true));
    } catch (thrown) {
      if (this.remotes.get(uid) === remote) this.unsubscribed(uid, remote);
      throw thrown;
    }
    return { url: remote.url as string, rotation: remote.rotation };
  }

  async unsubscribe(uid: string): Promise<void> {
    const remote = this.remotes.get(uid);
    if (remote) this.unsubscribed(uid, remote);
    const content = { UserId: uid, ChanId: this.channel };
    await this.session.request({ cmd: "UnSubscribe", content, user: uid });
  }

  mute(uid: string, kinds: Kinds, muted: boolean): void {
    const remote = this.remote(uid);
    remote.muted = turned(remote.muted, kinds, muted);
    this.tellMute(uid, remote);
  }

  muteLocal(kinds: Kinds, muted: boolean): void {
    this.local = turned(this.local, kinds, muted);
    this.tellLocal();
  }

  get publishing(): boolean {
    return this.target !== undefined;
  }

  knows(uid: string): boolean {
    return this.remotes.has(uid);
  }

  subscribedTo(uid: string): boolean {
    return this.remotes.get(uid)?.subscribed === true;
  }

  /** The app shows these already: they are subscribed to, and their URLs told. */
  adopt(uids: string[]): void {
    for (const uid of uids) {
      const remote = this.remote(uid);
      remote.announced = true;
      remote.subscribed = true;
      remote.tellUrl = true;
    }
  }

  // What the node says.

  added(uid: string): void {
    const known = this.remotes.get(uid);
    if (known?.announced) return this.again(uid, known);
    const remote = this.remote(uid);
    remote.announced = true;
    remote.seen = this.connection;
    this.emit("stream-added", { uid: this.uids.of(uid) });
  }

  removed(uid: string): void {
    const remote = this.remotes.get(uid);
    if (!remote) return;
    this.forget(uid);
    if (remote.announced) this.emit("stream-removed", { uid: this.uids.of(uid) });
  }

  status(uid: string, kind: keyof Kinds, sends: boolean): void {
    const remote = this.remotes.get(uid);
    if (!remote) return log.warn("a status of a user who was not announced");
    const told = remote.unsure?.[kind] === true && remote.sends[kind] === sends;
    if (remote.unsure) remote.unsure = { ...remote.unsure, [kind]: false };
    remote.sends = { ...remote.sends, [kind]: sends };
    if (!told) this.emit(sends ? `unmute-${kind}` : `mute-${kind}`, { uid: this.uids.of(uid) });
  }

  rotated(uid: string, rotation: number): void {
    const remote = this.remotes.get(uid);
    if (!remote || remote.rotation === rotation) return;
    remote.rotation = rotation;
    this.emit("video-rotation", { uid: this.uids.of(uid), rotation });
  }

  /** A URL that the node changed by itself. */
  moved(uid: string, url: string): void {
    const own = uid === this.session.identity.uid;
    const remote = this.remotes.get(uid);
    if (own && this.target) this.pushUrl = url;
    else if (remote?.subscribed) remote.url = url;
    else return;
    this.emit("update-url", { uid: this.uids.of(uid), url });
  }

  /** A new connection: the node is told what stands, mutes first. */
  restore(first: boolean): void {
    this.connection += 1;
    if (this.role === "Audience" || (this.role && !first)) {
      this.own("SetRole", { Role: this.role });
    }
    if (this.local) this.tellLocal();
    if (this.target) this.republish(this.target);
    this.remotes.forEach((remote, uid) => {
      if (remote.muted && !remote.subscribed) this.tellMute(uid, remote);
      if (remote.subscribed) this.resubscribe(uid, remote);
    });
  }

  /** The stay is over. */
  end(): void {
    this.remotes.forEach((remote) => this.calm(remote));
  }

  private republish(target: Target): void {
    this.own("Publish", this.publishContent(target)).then(
      (answer) => {
        if (!answer || this.target === undefined) return;
        const url = String(answer.PushUrl);
        if (url === this.pushUrl) return;
        this.pushUrl = url;
        this.suspect();
        this.emit("update-url", { uid: this.uids.of(this.session.identity.uid), url });
      },
    );
  }

  private resubscribe(uid: string, remote: Remote): void {
    this.ask(uid, false).then(
      (answer) => {
        if (!remote.subscribed || this.remotes.get(uid) !== remote) return;
        this.calm(remote, "lost");
        const before = remote.url;
        const turned = remote.rotation;
        this.learn(remote, answer);
        if (before !== undefined && remote.url !== before) this.suspect();
        if (remote.tellUrl || remote.url !== before) {
          remote.tellUrl = false;
          this.emit("update-url", { uid: this.uids.of(uid), url: remote.url });
        }
        if (remote.rotation !== turned) {
          this.emit("video-rotation", { uid: this.uids.of(uid), rotation: remote.rotation });
        }
      },
      (error) => {
        if (error === DROPPED) return;
        if (error.code === errors.UNKNOWN_USER[0]) {
          // A publisher that lost the same node comes back as well, perhaps a little later.
          this.maybeLost(uid, remote);
        } else if (this.remotes.get(uid) === remote) {
          this.unsubscribed(uid, remote);
          this.emit("error", error);
        }
      },
    );
  }

  /** Told of once more: the node has forgotten this client, or restarted. */
  private again(uid: string, remote: Remote): void {
    remote.seen = this.connection;
    this.calm(remote);
    this.suspect();
    if (remote.subscribed) this.resubscribe(uid, remote);
    const { audio, video } = remote.sends;
    if (audio && video) return;
    remote.unsure = { audio: !audio, video: !video };
    remote.recheck = setTimeout(() => {
      const unsure = remote.unsure;
      this.calm(remote, "recheck");
      // Nothing was said of it, so it is not muted any more.
      if (unsure?.audio) this.status(uid, "audio", true);
      if (unsure?.video) this.status(uid, "video", true);
    }, RECHECK_AFTER);
  }

  /** The node has forgotten this client: whoever it does not tell of again is gone. */
  private suspect(): void {
    this.remotes.forEach((remote, uid) => {
      const silent = remote.announced && !remote.subscribed && remote.seen < this.connection;
      if (silent) this.maybeLost(uid, remote);
    });
  }

  private maybeLost(uid: string, remote: Remote): void {
    if (remote.lost !== undefined) return;
    remote.lost = setTimeout(() => {
      remote.lost = undefined;
      if (this.remotes.get(uid) !== remote) return;
      this.removed(uid);
      this.suspect();
    }, LOST_AFTER);
  }

  private ask(uid: string, lasting: boolean): Promise<any> {
    const remote = this.remotes.get(uid);
    if (remote?.muted) this.tellMute(uid, remote);
    const content: Record<string, unknown> = { UserId: uid, ChanId: this.channel };
    if (this.forms.pull) content.Form = this.forms.pull;
    return this.session.request({ cmd: "Subscribe", content, user: uid, lasting });
  }

  /** A request that each connection makes for itself; its failure is told as an event. */
  private own(cmd: string, content: object | ""): Promise<any> {
    return this.session.request({ cmd, content, lasting: false }).catch((error: LockgateError) => {
      if (error === DROPPED) return;
      if (cmd === "Publish") this.unpublished();
      this.emit("error", error);
    });
  }

  /** "all", by RTMP, is what deployed clients ask for: nothing. */
  private publishContent(target: Target): object | "" {
    const { push } = this.forms;
    if (target === "all" && !push) return "";
    return { ...(target !== "all" && { Target: target }), ...(push && { Form: push }) };
  }

  private learn(remote: Remote, answer: any): void {
    remote.url = String(answer.PullUrl);
    remote.rotation = Number(answer.Rotation) || 0;
  }

  private tellMute(uid: string, remote: Remote): void {
    const muted = remote.muted as Kinds;
    this.session.tell("MuteRemoteStream", {
      UserId: uid,
      MuteAudio: muted.audio,
      MuteVideo: muted.video,
    });
  }

  private tellLocal(): void {
    const muted = this.local as Kinds;
    this.session.tell("MuteLocalStream", {
      UserId: this.session.identity.uid,
      MuteAudio: muted.audio,
      MuteVideo: muted.video,
    });
  }

  private unsubscribed(uid: string, remote: Remote): void {
    remote.subscribed = false;
    remote.url = undefined;
    if (!remote.announced) this.forget(uid);
  }

  private unpublished(): void {
    this.target = undefined;
    this.pushUrl = undefined;
  }

  private remote(uid: string): Remote {
    let remote = this.remotes.get(uid);
    if (!remote) {
      remote = { announced: false, subscribed: false, rotation: 0, sends: BOTH, seen: 0 };
      this.remotes.set(uid, remote);
    }
    return remote;
  }

  private forget(uid: string): void {
    const remote = this.remotes.get(uid);
    if (remote) this.calm(remote);
    this.remotes.delete(uid);
  }

  private calm(remote: Remote, timer?: "lost" | "recheck"): void {
    if (timer !== "recheck") {
      clearTimeout(remote.lost);
      remote.lost = undefined;
    }
    if (timer !== "lost") {
      clearTimeout(remote.recheck);
      remote.recheck = undefined;
      remote.unsure = undefined;
    }
  }
}

function turned(before: Kinds | undefined, kinds: Kinds, muted: boolean): Kinds {
  const { audio, video } = before ?? { audio: false, video: false };
  return { audio: kinds.audio ? muted : audio, video: kinds.video ? muted : video };
}
