// A node of the test's own: on ports that the system picks, read from what it prints, and on the same
// ports when it starts again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PATIENCE } from "./watched.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** LOCKGATE_BIN, or what cargo built last. */
export function binary() {
  if (process.env.LOCKGATE_BIN) return process.env.LOCKGATE_BIN;
  const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
  const built = ["debug", "release"].map((profile) => `${target}/${profile}/lockgate`).find(existsSync);
  if (!built) throw new Error("no node to test: build it with `cargo build -p lockgate-node`, or set LOCKGATE_BIN");
  return built;
}

const nodes = new Set();
process.once("exit", () => nodes.forEach((child) => child.kill("SIGKILL")));

export class Node {
  #child;
  #settings = ["rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "webrtc.listen=127.0.0.1:0"];

  /** Starts it, and waits until it has printed where it listens. */
  static async start(...settings) {
    const node = new Node();
    await node.#run(settings);
    node.#settings = [`rtmp.listen=${node.rtmp}`, `http.listen=${node.http.host}`, "webrtc.listen=127.0.0.1:0", ...settings];
    return node;
  }

  /** Starts it again where it listened before. */
  again() {
    return this.#run();
  }

  async #run(more = []) {
    const args = [...this.#settings, ...more].flatMap((setting) => ["--set", setting]);
    const child = spawn(binary(), ["run", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    nodes.add(child);
    child.once("exit", () => nodes.delete(child));
    this.#child = child;
    let log = "";
    child.stderr.on("data", (text) => (log = (log + text).slice(-4_000)));
    let banner = "";
    await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`the node ${why}: ${banner}${log}`));
      const deadline = setTimeout(fail, PATIENCE, "printed no banner");
      child.once("error", (error) => fail(error.message));
      child.once("exit", () => fail("has ended"));
      child.stdout.on("data", (text) => {
        banner += text;
        if (!banner.includes("Ctrl-C stops it.")) return;
        clearTimeout(deadline);
        child.removeAllListeners("exit");
        child.once("exit", () => nodes.delete(child));
        resolve();
      });
    });
    this.banner = banner;
    this.http = new URL(banner.match(/http:\/\/[^\s/]+/)[0]);
    const [, host, port] = banner.match(/rtmp:\/\/([^\s/:]+)(?::(\d+))?\//);
    this.rtmp = `${host}:${port ?? 1935}`;
  }

  /** Ends it with a signal, and waits until it has. */
  async kill(signal = "SIGKILL") {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Asks the API. */
  async api(path, method = "GET") {
    const answer = await fetch(new URL(`/api/v1${path}`, this.http), { method });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? undefined : answer.json();
  }
}
