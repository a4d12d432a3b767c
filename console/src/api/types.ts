/** What the node's API says, as /api/v1/openapi.json describes it. Seconds, bytes, bits a second. */

export interface Page<T> {
  items: T[];
  total: number;
  limit: number;
  offset: number;
}

export interface NodeInfo {
  version: string;
  ready: boolean;
  uptime_seconds: number;
  rtmp_port: number;
  rtmps_port: number | null;
  apps: App[];
}

export interface App {
  name: string;
  access: "open" | "keys" | "signed";
  channels: boolean;
  tokens: boolean;
}

export interface Video {
  codec: string;
  width: number | null;
  height: number | null;
}

export interface Audio {
  codec: string;
  sample_rate: number | null;
  channels: number | null;
}

export interface Stream {
  app: string;
  name: string;
  state: "live" | "grace" | "waiting";
  age_seconds: number;
  publisher: Publisher | null;
  players: number;
  video: Video | null;
  audio: Audio | null;
  ring: { bytes: number; packets: number; gop_packets: number };
  timeline_jumps: number;
}

export interface Publisher {
  connection: number;
  app: string;
  name: string;
  protocol: string;
  peer: string;
  age_seconds: number;
  bytes: number;
  packets: number;
  bits_per_second: number;
  frames_per_second: number;
  video: Video | null;
  audio: Audio | null;
}

/** What lets an operator's page play a stream. */
export interface Ticket {
  query: string;
  seconds: number;
}

export type Switch = "open" | "closed";

export interface Gate {
  audio: Switch;
  video: Switch;
  audio_closed_by: string[];
  video_closed_by: string[];
}

export interface Player {
  connection: number;
  app: string;
  name: string;
  protocol: string;
  peer: string;
  age_seconds: number;
  bytes: number;
  packets: number;
  bits_per_second: number;
  delay_seconds: number;
  skips: number;
  gate: Gate;
}

export interface Channel {
  app: string;
  channel: string;
  age_seconds: number;
  members: number;
  publications: number;
}

export interface Component {
  age_seconds: number;
  code: number | null;
  message: string | null;
  stalls: number;
  errors: number;
  net: Record<string, number>;
}

export interface Publication {
  stream: string;
  live: boolean;
  audio: Switch;
  video: Switch;
  operator_audio: Switch;
  operator_video: Switch;
  publisher: Publisher | null;
  reported: Component | null;
}

export interface Subscription {
  uid: string;
  audio: Switch;
  video: Switch;
  player: Player | null;
  reported: Component | null;
}

export interface Member {
  uid: string;
  ip: string;
  sdk: string;
  age_seconds: number;
  connected: boolean;
  role: "host" | "audience";
  publication: Publication | null;
  subscriptions: Subscription[];
  report_age_seconds: number | null;
  log?: string[];
}

export interface Ban {
  id: number;
  app: string | null;
  uid: string | null;
  ip: string | null;
  channel: string | null;
  since: number;
  until: number | null;
  reason: string;
}

export interface NewBan {
  app?: string;
  uid?: string;
  ip?: string;
  channel?: string;
  seconds?: number;
  reason?: string;
}

/** Which of a gate's tracks. */
export type TrackKind = "audio" | "video";
