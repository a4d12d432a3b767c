/**
 * A channel as this page is in it: the SDK says who publishes and hands out URLs, WHIP and WHEP carry
 * the media. Nothing here draws.
 */
import Lockgate from "lockgate-sdk";
import type { ApiError } from "../api/client";
import type { MediaStats } from "../media/stats";
import { asApiError } from "../media/play";
import type { Urls } from "../media/play";
import { publishWhip } from "../media/whip";
import type { Publishing } from "../media/whip";
import { PICTURES, capture, stopTracks } from "../media/capture";
import type { SourceKind } from "../media/capture";
import type { TrackKind } from "../api/types";

/** After a push breaks off it is tried again, for as long as one wants to be seen. */
const AGAIN_MS = 2_000;

const LINES = 100;

export interface Entrance {
  app: string;
  channel: string;
  uid: string;
  token: string;
  role: "broadcaster" | "audience";
}

export interface Other {
  uid: string;
  /** Where its stream plays, once subscribed to. */
  urls?: Urls;
  /** What it has muted itself. */
  muted: Record<TrackKind, boolean>;
  /** What is muted for this page alone. */
  mutedHere: Record<TrackKind, boolean>;
  problem?: string;
}

export interface Me {
  uid: string;
  media?: MediaStream;
  /** Connected, and not only asked to be. */
  sending: boolean;
  muted: Record<TrackKind, boolean>;
  problem?: ApiError;
}

export interface RoomState {
  connection: string;
  me: Me;
  others: Other[];
  log: Array<{ at: number; text: string }>;
}

const both = (value: boolean): Record<TrackKind, boolean> => ({ audio: value, video: value });

/** A code and a reason, as the SDK fails. */
export function reasonOf(thrown: unknown): string {
  const { reason, message, code } = (thrown ?? {}) as { reason?: string; message?: string; code?: number };
  return reason ?? message ?? String(code ?? thrown);
}

/**
 * Where a member's WHEP URL plays, here: on this page's own host, by which the node was reached, and
 * by FLV as well, which is at the same name.
 */
export function urlsOf(url: string): Urls {
  const { pathname } = new URL(url);
  return { whep: pathname, flv: pathname.replace(/\/whep$/, ".flv") };
}

/** The network of this page: the gateway and the WebSocket are where the page is from. */
function transport() {
  const web = Lockgate.webTransport();
  if (!web) throw new Error("this browser has no WebSocket");
  const here = (url: string, protocol: string) => {
    const { pathname, search } = new URL(url);
    return `${protocol}//${location.host}${pathname}${search}`;
  };
  const socket = location.protocol === "https:" ? "wss:" : "ws:";
  return {
    ...web,
    post: (url: string, body: string, timeout: number) => web.post(here(url, location.protocol), body, timeout),
    connect: (url: string, events: Parameters<typeof web.connect>[1]) => web.connect(here(url, socket), events),
  };
}

export class Room {
  state: RoomState = {
    connection: "CONNECTING",
    me: { uid: "", sending: false, muted: both(false) },
    others: [],
    log: [],
  };
  private readonly client = new Lockgate.Client();
  private publishing: Publishing | undefined;
  private push: { url: string; stop: AbortController; bitrate: number } | undefined;
  private left = false;

  constructor(
    private readonly entrance: Entrance,
    private readonly changed: (state: RoomState) => void,
  ) {}

  get channel(): string {
    return this.entrance.channel;
  }

  get audience(): boolean {
    return this.entrance.role === "audience";
  }

  async join(): Promise<void> {
    const { client, entrance } = this;
    const { app, channel, uid, token, role } = entrance;
    await client.init(app);
    await client.setParameters({
      ConfPriCloudAddr: { ServerAdd: location.hostname, Port: Number(location.port || 80), Wss: false },
      transport: transport(),
      pullForm: "whep",
      pushForm: "whip",
    });
    this.listen();
    await client.setRole(role);
    const own = await client.join(token || undefined, channel, uid || undefined);
    this.me({ uid: String(own) });
    this.note(`joined ${channel} as ${own}`);
  }

  private listen(): void {
    const { client } = this;
    client.on("stream-added", ({ uid }) => {
      this.note(`stream-added ${uid}`);
      this.set({ others: [...this.state.others, { uid: String(uid), muted: both(false), mutedHere: both(false) }] });
      void this.subscribe(String(uid));
    });
    client.on("stream-removed", ({ uid }) => {
      this.note(`stream-removed ${uid}`);
      this.set({ others: this.state.others.filter((other) => other.uid !== String(uid)) });
    });
    for (const track of ["audio", "video"] as const) {
      for (const muted of [true, false]) {
        client.on(`${muted ? "" : "un"}mute-${track}` as "mute-audio", ({ uid }) => {
          this.note(`${muted ? "mute" : "unmute"}-${track} ${uid}`);
          this.other(String(uid), (other) => ({ muted: { ...other.muted, [track]: muted } }));
        });
      }
    }
    client.on("update-url", ({ uid, url }) => {
      this.note(`update-url ${uid}`);
      if (String(uid) === this.state.me.uid) void this.pushTo(url);
      else this.other(String(uid), () => ({ urls: urlsOf(url) }));
    });
    client.on("error", (error) => this.note(`error ${error.code} ${error.reason}`));
    client.on("connection-state-change", (current, _, reason) => {
      this.note(reason ? `${current} ${reason}` : current);
      this.set({ connection: current });
      if (current === "DISCONNECTED" && !this.left) void this.unpublish(true);
    });
  }

  private async subscribe(uid: string): Promise<void> {
    try {
      const { url } = await this.client.subscribe(uid);
      this.other(uid, () => ({ urls: urlsOf(url), problem: undefined }));
    } catch (thrown) {
      this.other(uid, () => ({ problem: reasonOf(thrown) }));
    }
  }

  /** Asks for the camera, then for a place to push to, and pushes. */
  async publish(source: SourceKind): Promise<void> {
    const picture = PICTURES[1]!;
    try {
      const media = await capture(source, picture);
      if (this.left) return stopTracks(media);
      for (const track of media.getVideoTracks()) track.addEventListener("ended", () => void this.unpublish());
      this.me({ media, problem: undefined, muted: both(false) });
      const url = await this.client.publish(source === "microphone" ? "audio" : "all");
      this.push = { url, stop: new AbortController(), bitrate: picture.bitrate };
      await this.pushTo(url);
    } catch (thrown) {
      this.me({ problem: asApiError(thrown instanceof Error ? thrown : new Error(reasonOf(thrown))) });
      await this.unpublish();
    }
  }

  private async pushTo(url: string): Promise<void> {
    const { media } = this.state.me;
    if (!media || !this.push) return;
    this.push.stop.abort();
    this.publishing?.stop();
    this.publishing = undefined;
    const push = (this.push = { ...this.push, url, stop: new AbortController() });
    const again = (error?: ApiError) => {
      this.publishing = undefined;
      this.me({ sending: false, problem: error });
      setTimeout(() => push === this.push && void this.pushTo(url), AGAIN_MS);
    };
    const { pathname } = new URL(url);
    try {
      const publishing = await publishWhip(pathname, media, push.bitrate, push.stop.signal, () => {
        if (push === this.push) again();
      });
      if (push !== this.push) return publishing.stop();
      this.publishing = publishing;
      this.me({ sending: true, problem: undefined });
    } catch (thrown) {
      if (push === this.push && !push.stop.signal.aborted) again(asApiError(thrown));
    }
  }

  /** With `lost`, the channel is gone already. */
  async unpublish(lost = false): Promise<void> {
    const pushed = this.push !== undefined;
    this.push?.stop.abort();
    this.push = undefined;
    this.publishing?.stop();
    this.publishing = undefined;
    stopTracks(this.state.me.media);
    this.me({ media: undefined, sending: false });
    if (pushed && !lost) await this.client.unpublish().catch((thrown: unknown) => this.note(reasonOf(thrown)));
  }

  /** For everybody: the node holds it back, and the device is silent or dark as well. */
  async muteOwn(track: TrackKind, muted: boolean): Promise<void> {
    const { media } = this.state.me;
    const tracks = track === "audio" ? media?.getAudioTracks() : media?.getVideoTracks();
    for (const each of tracks ?? []) each.enabled = !muted;
    this.me({ muted: { ...this.state.me.muted, [track]: muted } });
    await (muted ? this.client.muteLocal(track) : this.client.unmuteLocal(track));
  }

  /** For this page alone. */
  async muteOther(uid: string, track: TrackKind, muted: boolean): Promise<void> {
    await (muted ? this.client.mute(uid, track) : this.client.unmute(uid, track));
    this.other(uid, (other) => ({ mutedHere: { ...other.mutedHere, [track]: muted } }));
  }

  async leave(): Promise<void> {
    this.left = true;
    await this.unpublish(true);
    await this.client.destroy().catch(() => {});
  }

  /** What plays here, told to the node under the names that live-player has for it. */
  tellPlayer(uid: string, stats: MediaStats): void {
    if (this.state.connection !== "CONNECTED") return;
    this.client.updatePlayerNetStatus(uid, { info: netStatus(stats) });
  }

  /** The same of what is sent; gives it back to be shown. */
  async readPusher(): Promise<MediaStats | undefined> {
    const stats = await this.publishing?.stats();
    if (stats && this.state.connection === "CONNECTED") {
      this.client.updatePusherNetStatus({ info: netStatus(stats) });
    }
    return stats;
  }

  private set(part: Partial<RoomState>): void {
    this.state = { ...this.state, ...part };
    this.changed(this.state);
  }

  private me(part: Partial<Me>): void {
    this.set({ me: { ...this.state.me, ...part } });
  }

  private other(uid: string, change: (other: Other) => Partial<Other>): void {
    this.set({
      others: this.state.others.map((other) => (other.uid === uid ? { ...other, ...change(other) } : other)),
    });
  }

  private note(text: string): void {
    this.set({ log: [...this.state.log.slice(1 - LINES), { at: Date.now(), text }] });
  }
}

/** Kilobits, milliseconds and percent, as the components count. */
export function netStatus(stats: MediaStats): Record<string, number> {
  const audio = stats.audioBitsPerSecond;
  const video = stats.bitsPerSecond === undefined ? undefined : stats.bitsPerSecond - (audio ?? 0);
  const all = {
    videoFPS: stats.fps && Math.round(stats.fps * 10) / 10,
    videoBitrate: video && Math.round(video / 1000),
    audioBitrate: audio && Math.round(audio / 1000),
    videoWidth: stats.width,
    videoHeight: stats.height,
    videoCache: stats.buffer && Math.round(stats.buffer * 1000),
    netJitter: stats.jitter && Math.round(stats.jitter * 1000),
    packetLoss: stats.loss && Math.round(stats.loss * 1000) / 10,
    rtt: stats.roundTrip && Math.round(stats.roundTrip * 1000),
  };
  const known = Object.entries(all).filter((entry): entry is [string, number] => typeof entry[1] === "number");
  return Object.fromEntries(known);
}
