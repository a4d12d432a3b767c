/**
 * What an app sees: every public type, and nothing that runs.
 *
 * The build copies this file into `dist/lockgate.d.ts`, so it imports nothing.
 */

/** A user: 1 to 2^32-1, or 1 to 48 letters and digits. It comes back as it was given. */
export type Uid = number | string;

/** Which media a call is about. */
export type Target = "audio" | "video" | "all";

/** A broadcaster may publish, an audience may not. */
export type Role = "broadcaster" | "audience";

/** What a call fails with: a row of the table of errors in the README. */
export interface ClientError {
  code: number;
  reason: string;
}

/** The rows of that table. */
export type ErrorName =
  | "DEVELOPER_INVALID"
  | "UID_BANNED"
  | "IP_BANNED"
  | "CHANNEL_BANNED"
  | "APP_INVALID"
  | "NOT_OPEN"
  | "TOKEN_EXPIRED"
  | "TOKEN_INVALID"
  | "TRY_AGAIN"
  | "REFUSED"
  | "NOT_JOINED"
  | "AUDIENCE_MAY_NOT_PUBLISH"
  | "UNKNOWN_USER"
  | "MALFORMED"
  | "TOO_MANY"
  | "ALREADY_JOINED"
  | "MAY_NOT_PUBLISH"
  | "NOT_INITIALIZED"
  | "INVALID_ARGUMENT"
  | "NO_SERVER"
  | "NO_ADDRESS"
  | "NO_TRANSPORT"
  | "TIMEOUT"
  | "ABORTED"
  | "NOT_PUBLISHED"
  | "NOT_SUBSCRIBED"
  | "DESTROYED"
  | "UID_REPLACED"
  | "CLOSED_BY_SERVER";

export type OnFailure = (err: ClientError) => void;

/** Where the node is. With `Wss` it is asked on 443 and `Port` does not count. */
export interface PrivateCloud {
  ServerAdd: string;
  Port?: number;
  Wss?: boolean;
}

/** What `subscribe` gives a URL for: an RTMP player, one of FLV over HTTP or WebSocket, or one of WebRTC. */
export type PullForm = "rtmp" | "http-flv" | "ws-flv" | "whep";

/** What `publish` gives a URL for: an RTMP pusher, or one of WebRTC. */
export type PushForm = "rtmp" | "whip";

export interface Parameters {
  ConfPriCloudAddr?: PrivateCloud;
  /** The form of pull URLs; `"rtmp"` unless set. */
  pullForm?: PullForm;
  /** The form of push URLs; `"rtmp"` unless set. */
  pushForm?: PushForm;
  /** In place of the platform's own network. */
  transport?: Transport;
}

/** The network of a platform. Mini programs and browsers have theirs built in. */
export interface Transport {
  /** POSTs JSON. Rejects without an answer; must not take longer than `timeout` ms. */
  post(url: string, body: string, timeout: number): Promise<{ status: number; body: string }>;
  /** Opens a WebSocket. After `onClose` nothing more is called. */
  connect(url: string, events: SocketEvents): Socket;
  /** Tells of the phone's life; gives back what stops it. */
  watch?(events: LifeEvents): () => void;
}

export interface SocketEvents {
  onOpen(): void;
  onMessage(text: string): void;
  onClose(code: number, reason: string): void;
}

export interface Socket {
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface LifeEvents {
  /** The network is another one, or is there again (`true`), or has gone (`false`). */
  onNetwork(connected: boolean): void;
  /** The app came to the foreground, or went to the background. */
  onVisible(visible: boolean): void;
}

export type ConnectionState =
  | "DISCONNECTED"
  | "CONNECTING"
  | "CONNECTED"
  | "RECONNECTING"
  | "DISCONNECTING";

/** Why a connection's state changed. A reason that the node gave and that is not here comes as it is. */
export type ConnectionReason =
  | "LEAVE"
  | "NETWORK_ERROR"
  | "SERVER_ERROR"
  | "UID_BANNED"
  | "IP_BANNED"
  | "CHANNEL_BANNED"
  | "UID_REPLACED"
  | "TOKEN_EXPIRED"
  | "TOKEN_INVALID"
  | "REFUSED"
  | "SERVER_CLOSED"
  | (string & {});

export interface StreamEvent {
  uid: Uid;
}

export interface UpdateUrlEvent {
  /** Whose URL: a remote user's pull URL, or the user's own push URL. */
  uid: Uid;
  url: string;
}

export interface RotationEvent {
  uid: Uid;
  /** Degrees, clockwise. */
  rotation: number;
}

/** Each event with what its listeners get. */
export interface ClientEvents {
  "stream-added": (evt: StreamEvent) => void;
  "stream-removed": (evt: StreamEvent) => void;
  "mute-audio": (evt: StreamEvent) => void;
  "mute-video": (evt: StreamEvent) => void;
  "unmute-audio": (evt: StreamEvent) => void;
  "unmute-video": (evt: StreamEvent) => void;
  "update-url": (evt: UpdateUrlEvent) => void;
  "video-rotation": (evt: RotationEvent) => void;
  error: (err: ClientError) => void;
  "connection-state-change": (
    current: ConnectionState,
    previous: ConnectionState,
    reason?: ConnectionReason,
  ) => void;
  "token-privilege-will-expire": () => void;
  "token-privilege-did-expire": () => void;
}

export type EventName = keyof ClientEvents;

/** What `subscribe` resolves to. */
export interface Subscription {
  url: string;
  /** Degrees, clockwise, by which the picture is to be turned. */
  rotation: number;
}

/** The event of a live-pusher or live-player, or its `detail`. */
export type ComponentEvent = { detail?: unknown } | Record<string, unknown>;

/**
 * One user in one channel.
 *
 * Every method takes callbacks, and returns a promise when it is given none.
 */
export interface Client {
  /** Names the app. Comes before `join`. */
  init(appId: string): Promise<void>;
  init(appId: string, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Leaves, and forgets every listener. `init` starts it anew. */
  destroy(): Promise<void>;
  destroy(onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Joins a channel. Without a uid the node picks one. It goes on trying until `leave`. */
  join(token: string | null | undefined, channel: string, uid?: Uid | null): Promise<Uid>;
  join(
    token: string | null | undefined,
    channel: string,
    uid: Uid | null | undefined,
    onSuccess?: ((uid: Uid) => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  /**
   * Joins again after the connection was given up. `uids` are the users on the app's screen: the
   * client subscribes to them again, and tells their URLs by `update-url`.
   */
  rejoin(
    token: string | null | undefined,
    channel: string,
    uid: Uid | null | undefined,
    uids: Uid[],
  ): Promise<Uid>;
  rejoin(
    token: string | null | undefined,
    channel: string,
    uid: Uid | null | undefined,
    uids: Uid[],
    onSuccess?: ((uid: Uid) => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  /** Leaves the channel: what was published and subscribed ends. */
  leave(): Promise<void>;
  leave(onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /**
   * Gives the URL for a live-pusher, or one of the form of `pushForm`. With `audio` or `video` the
   * other kind is left out.
   */
  publish(target?: Target): Promise<string>;
  publish(onSuccess: (url: string) => void, onFailure?: OnFailure | null): void;
  publish(
    target: Target,
    onSuccess?: ((url: string) => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  unpublish(): Promise<void>;
  unpublish(onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Gives the URL for a live-player in `RTC` mode, or one of the form of `pullForm`. */
  subscribe(uid: Uid): Promise<Subscription>;
  subscribe(
    uid: Uid,
    onSuccess?: ((url: string, rotation: number) => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  unsubscribe(uid: Uid): Promise<void>;
  unsubscribe(uid: Uid, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Stops receiving a remote user's media. */
  mute(uid: Uid, target: Target): Promise<void>;
  mute(
    uid: Uid,
    target: Target,
    onSuccess?: (() => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  unmute(uid: Uid, target: Target): Promise<void>;
  unmute(
    uid: Uid,
    target: Target,
    onSuccess?: (() => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  /** Stops sending the user's own media to everybody. */
  muteLocal(target: Target): Promise<void>;
  muteLocal(target: Target, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  unmuteLocal(target: Target): Promise<void>;
  unmuteLocal(target: Target, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Sets the role, before `join` or after. An audience's push URL dies. */
  setRole(role: Role): Promise<void>;
  setRole(role: Role, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Puts a new token in place of one that runs out. */
  renewToken(token: string): Promise<void>;
  renewToken(token: string, onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;

  /** Sets where the node is, and what URLs are for. Counts from the next `join` on. */
  setParameters(parameters: Parameters): Promise<void>;
  setParameters(
    parameters: Parameters,
    onSuccess?: (() => void) | null,
    onFailure?: OnFailure | null,
  ): void;

  on<E extends EventName>(event: E, callback: ClientEvents[E]): void;
  once<E extends EventName>(event: E, callback: ClientEvents[E]): void;
  /** Takes a listener away; without one, all of the event. */
  off<E extends EventName>(event: E, callback?: ClientEvents[E]): void;

  /** Hands on a live-pusher's `bindstatechange`. */
  updatePusherStateChange(e: ComponentEvent): void;
  /** Hands on a live-pusher's `bindnetstatus`. */
  updatePusherNetStatus(e: ComponentEvent): void;
  /** Hands on a live-player's `bindstatechange`. */
  updatePlayerStateChange(uid: Uid, e: ComponentEvent): void;
  /** Hands on a live-player's `bindnetstatus`. */
  updatePlayerNetStatus(uid: Uid, e: ComponentEvent): void;
}

export interface ClientConstructor {
  new (): Client;
}

export interface Log {
  /** -1 and 0: everything; 1: info; 2: warnings (the default); 3: errors; 4: nothing. */
  setLogLevel(level: number): void;
  /** Sends the newest lines to the node that a client is joined to. */
  uploadLogs(): Promise<void>;
  uploadLogs(onSuccess?: (() => void) | null, onFailure?: OnFailure | null): void;
  /** Gets each line that the level lets through. */
  onLog: ((line: string) => void) | null;
}

/** What `webTransport` is made of, where the platform lacks it (Node 20 has no WebSocket). */
export interface WebParts {
  fetch?: unknown;
  WebSocket?: unknown;
}
