/**
 * The node's pulse: /metrics every two seconds for as long as the page is open, whichever part of it
 * is looked at, and what its counters come to in a second.
 */
import { useEffect, useState } from "preact/hooks";
import * as api from "./api/client";
import { Metrics, parse } from "./api/metrics";

export const PULSE_MS = 2_000;

/** Ten minutes. */
const KEPT = 300;

/** One moment; `undefined` where the node does not export the metric, or before a rate can be told. */
export interface Beat {
  /** Seconds since 1970. */
  at: number;
  bitsIn?: number;
  bitsOut?: number;
  /** Cores. */
  cpu?: number;
  memory?: number;
  publishers?: number;
  players?: number;
  members?: number;
  skips?: number;
  refused?: number;
}

export interface Pulse {
  beats: Beat[];
  now?: Metrics;
  /** What the counters were when the page was opened. */
  first?: Metrics;
  error?: api.ApiError;
  /** When the node last answered, in milliseconds since 1970. */
  heardAt?: number;
}

/** Metrics whose increase means that somebody was told no. */
export const REFUSALS = [
  "lockgate_connections_refused_total",
  "lockgate_publish_refused_total",
  "lockgate_play_refused_total",
  "lockgate_handshake_failures_total",
  "lockgate_signalling_refusals_total",
];

const sumOf = (metrics: Metrics, names: string[]) =>
  names.reduce((sum, name) => sum + (metrics.sum(name) ?? 0), 0);

/** The beat between two readings. A counter that fell is that of a node that started anew. */
export function beat(now: Metrics, at: number, before?: { metrics: Metrics; at: number }): Beat {
  const seconds = before ? at - before.at : 0;
  const rate = (total: (metrics: Metrics) => number | undefined): number | undefined => {
    if (!before || seconds <= 0) return undefined;
    const [new_, old] = [total(now), total(before.metrics)];
    return new_ === undefined || old === undefined || new_ < old ? undefined : (new_ - old) / seconds;
  };
  const bits = (name: string) => {
    const bytes = rate((metrics) => metrics.sum(name));
    return bytes === undefined ? undefined : bytes * 8;
  };
  const given = {
    bitsIn: bits("lockgate_ingest_bytes_total"),
    bitsOut: bits("lockgate_egress_bytes_total"),
    cpu: rate((metrics) => metrics.sum("process_cpu_seconds_total")),
    memory: now.sum("process_resident_memory_bytes"),
    publishers: now.sum("lockgate_publishers"),
    players: now.sum("lockgate_players"),
    members: now.sum("lockgate_members"),
    skips: rate((metrics) => metrics.sum("lockgate_skips_total")),
    refused: rate((metrics) => sumOf(metrics, REFUSALS)),
  };
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return { at, ...Object.fromEntries(known) };
}

let pulse: Pulse = { beats: [] };
const listeners = new Set<(pulse: Pulse) => void>();
let last: { metrics: Metrics; at: number } | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

async function read(): Promise<void> {
  try {
    const now = parse(await api.metrics());
    const at = Date.now() / 1000;
    const beats = [...pulse.beats, beat(now, at, last)].slice(-KEPT);
    // A node that started anew counts from 0 again.
    const restarted = (now.sum("process_start_time_seconds") ?? 0) !== (last?.metrics.sum("process_start_time_seconds") ?? 0);
    pulse = { beats, now, first: restarted || !pulse.first ? now : pulse.first, heardAt: Date.now() };
    last = { metrics: now, at };
  } catch (thrown) {
    // The gap shows in the charts, too.
    const gap = { at: Date.now() / 1000 };
    pulse = { ...pulse, beats: [...pulse.beats, gap].slice(-KEPT), error: thrown as api.ApiError };
    last = undefined;
  }
  for (const listener of listeners) listener(pulse);
  timer = setTimeout(read, PULSE_MS);
}

export function usePulse(): Pulse {
  const [state, setState] = useState(pulse);
  useEffect(() => {
    listeners.add(setState);
    if (!timer) {
      timer = setTimeout(read, 0);
    }
    return () => void listeners.delete(setState);
  }, []);
  return state;
}
