/**
 * The log: lines by level, and the newest of them kept to be sent on demand.
 *
 * Nothing secret comes in here: neither tokens nor media URLs.
 */
import type { Log, OnFailure } from "./api";
import { failure } from "./errors";
import { settle } from "./settle";

const NAMES = ["DEBUG", "INFO", "WARN", "ERROR"];
const KEPT = 500;
/** Stays under the 64 KiB that a node takes in a message by default. */
const PART = 16_000;

let level = 2;
const lines: string[] = [];
const sinks: Array<(part: string[]) => Promise<void>> = [];

export const LOG: Log = {
  onLog: null,

  setLogLevel(wanted: number): void {
    if (typeof wanted === "number" && wanted >= -1 && wanted <= 4) level = wanted;
    else log.warn("setLogLevel takes -1 to 4");
  },

  uploadLogs(onSuccess?: (() => void) | null, onFailure?: OnFailure | null): any {
    return settle(upload, onSuccess, onFailure, (error) => log.warn("uploadLogs", error.reason));
  },
};

async function upload(): Promise<void> {
  const sink = sinks[sinks.length - 1];
  if (!sink) throw failure("NOT_JOINED");
  let part: string[] = [];
  let length = 0;
  for (const line of lines.slice()) {
    if (part.length && length + line.length > PART) {
      await sink(part);
      part = [];
      length = 0;
    }
    part.push(line);
    length += line.length;
  }
  if (part.length) await sink(part);
}

/** While a client is joined, logs can be sent through it. */
export function uploadThrough(sink: (part: string[]) => Promise<void>): () => void {
  sinks.push(sink);
  return () => {
    const at = sinks.indexOf(sink);
    if (at >= 0) sinks.splice(at, 1);
  };
}

function write(severity: number, parts: unknown[]): void {
  const text = parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part)));
  const line = `${new Date().toISOString()} ${NAMES[severity]} ${text.join(" ")}`.slice(0, 1000);
  lines.push(line);
  if (lines.length > KEPT) lines.shift();
  if (severity < level) return;
  if (typeof LOG.onLog === "function") {
    try {
      LOG.onLog(line);
    } catch {
      // A broken listener of the log has nowhere to be told of.
    }
  }
  if (typeof console === "undefined") return;
  console[severity === 3 ? "error" : severity === 2 ? "warn" : "log"](`[lockgate] ${line}`);
}

export const log = {
  debug: (...parts: unknown[]) => write(0, parts),
  info: (...parts: unknown[]) => write(1, parts),
  warn: (...parts: unknown[]) => write(2, parts),
  error: (...parts: unknown[]) => write(3, parts),
};
