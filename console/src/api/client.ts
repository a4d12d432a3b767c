/** Requests to the node this page came from, with its token where one is set. */
import type * as api from "./types";

/** A request that came to nothing: `code` and `next` are the node's own where it answered. */
export class ApiError extends Error {
  constructor(
    /** 0 without an answer. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly next = "",
  ) {
    super(message);
  }

  /** The node asks for a token, or for another one. */
  get locked(): boolean {
    return this.status === 401;
  }
}

/** The longest page that the node sends. */
const LIMIT = 1000;

const TIMEOUT_MS = 10_000;

const TOKEN = "lockgate.token";

/** The token lives as long as the tab. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value: string) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

const segment = encodeURIComponent;

async function request(method: string, path: string, body?: unknown): Promise<Response> {
  const headers = new Headers({ accept: "application/json" });
  if (token.get()) headers.set("authorization", `Bearer ${token.get()}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  const init: RequestInit = {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    cache: "no-store",
    redirect: "error",
  };
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (cause) {
    throw new ApiError(0, "no_answer", String(cause instanceof Error ? cause.message : cause));
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

/** The error that an answer carries, or one made of its status. */
export async function errorOf(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => "");
  try {
    const { code, message, next } = JSON.parse(text) as Record<string, unknown>;
    if (typeof code === "string") {
      return new ApiError(answer.status, code, String(message ?? code), String(next ?? ""));
    }
  } catch {
    // Not the node's own: a proxy's, say.
  }
  return new ApiError(answer.status, `http_${answer.status}`, `HTTP ${answer.status} ${answer.statusText}`.trim());
}

async function get<T>(path: string): Promise<T> {
  return (await request("GET", path)).json() as Promise<T>;
}

async function change<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await request(method, path, body);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

function list<T>(path: string, query: Record<string, string> = {}): Promise<api.Page<T>> {
  return get(`${path}?${new URLSearchParams({ limit: String(LIMIT), ...query })}`);
}

const channelPath = (app: string, channel: string) => `/api/v1/channels/${segment(app)}/${segment(channel)}`;
const memberPath = (app: string, channel: string, uid: string) =>
  `${channelPath(app, channel)}/members/${segment(uid)}`;

export const node = () => get<api.NodeInfo>("/api/v1/node");
export const metrics = async () => (await request("GET", "/metrics")).text();

export const streams = () => list<api.Stream>("/api/v1/streams");
export const stream = (app: string, name: string) =>
  get<api.Stream>(`/api/v1/streams/${segment(app)}/${segment(name)}`);
/** What goes behind the `?` of the stream's media URLs, for a minute. */
export const ticket = async (app: string, name: string) =>
  (await change<api.Ticket>("POST", `/api/v1/streams/${segment(app)}/${segment(name)}/ticket`)).query;
export const players = (app?: string, name?: string) =>
  list<api.Player>("/api/v1/players", app !== undefined && name !== undefined ? { app, name } : {});
export const kick = (connection: number) => change<void>("DELETE", `/api/v1/connections/${connection}`);
export const switchGate = (connection: number, track: api.TrackKind, to: api.Switch) =>
  change<api.Player>("PATCH", `/api/v1/players/${connection}/gate`, { [track]: to });

export const channels = () => list<api.Channel>("/api/v1/channels");
export const members = (app: string, channel: string) => list<api.Member>(`${channelPath(app, channel)}/members`);
export const member = (app: string, channel: string, uid: string) => get<api.Member>(memberPath(app, channel, uid));
export const kickMember = (app: string, channel: string, uid: string) =>
  change<void>("POST", `${memberPath(app, channel, uid)}/kick`);
export const muteMember = (app: string, channel: string, uid: string, track: api.TrackKind, to: api.Switch) =>
  change<api.Member>("PATCH", `${memberPath(app, channel, uid)}/gate`, { [track]: to });

export const bans = () => list<api.Ban>("/api/v1/bans");
export const ban = (target: api.NewBan) => change<api.Ban & { removed: number }>("POST", "/api/v1/bans", target);
export const lift = (id: number) => change<void>("DELETE", `/api/v1/bans/${id}`);
