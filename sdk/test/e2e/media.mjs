// ffmpeg as live-pusher and as live-player, and ffprobe to say what is in a stream.
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, Watched } from "./watched.mjs";

export const WIDTH = 320;
export const HEIGHT = 240;
export const FPS = 15;
const KEYFRAME_EVERY = 2 * FPS;
const SAMPLE_RATE = 8_000;
/** The pictures of a player are made this small: they are counted, and looked at for change. */
const THUMB = 16;

const children = new Set();
const folder = mkdtempSync(join(tmpdir(), "lockgate-e2e-"));
process.once("exit", () => {
  children.forEach((child) => child.kill("SIGKILL"));
  rmSync(folder, { recursive: true, force: true });
});

function kept(child) {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

async function stop(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

/** Ends every pusher and player that a test has left. */
export const stopMedia = () => Promise.all([...children].map((child) => stop(child, "SIGKILL")));

const clips = new Set();

/** A moving test picture and a loud tone, made once: pushers then cost next to nothing. */
function clip(picture, tone) {
  const file = join(folder, `${picture}-${tone}.flv`);
  if (clips.has(file)) return file;
  execFileSync("ffmpeg", [
    "-nostdin", "-v", "error",
    "-f", "lavfi", "-i", `${picture}=size=${WIDTH}x${HEIGHT}:rate=${FPS}:duration=20`,
    "-f", "lavfi", "-i", `sine=frequency=${tone}:sample_rate=44100:duration=20`,
    "-af", "volume=10dB", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
    "-g", String(KEYFRAME_EVERY), "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-ac", "1", file,
  ]);
  clips.add(file);
  return file;
}

/** A live-pusher. */
export class Pusher {
  #child;

  constructor(url, picture = "testsrc2", tone = 440) {
    const input = ["-re", "-stream_loop", "-1", "-i", clip(picture, tone)];
    const args = ["-nostdin", "-v", "error", ...input, "-c", "copy", "-f", "flv", url];
    this.#child = kept(spawn("ffmpeg", args, { stdio: ["ignore", "ignore", "pipe"] }));
    let said = "";
    this.#child.stderr.on("data", (text) => (said = (said + text).slice(-2_000)));
    /** Resolves to what it said when it is over: cut, refused or stopped. */
    this.over = once(this.#child, "exit").then(() => said);
  }

  kill() {
    return stop(this.#child, "SIGKILL");
  }
}

/** A live-player: decodes what comes, and counts it as it comes. */
export class Player extends Watched {
  /** Bytes of coded pictures so far, as the network brings them: before the decoder. */
  coded = 0;
  /** Pictures and samples so far. */
  frames = 0;
  samples = 0;
  /** Of the last tenth of a second of sound, in dB of full scale. */
  level = -Infinity;
  /** The newest picture, small and grey. */
  picture = Buffer.alloc(0);
  /** What the decoders complained of. */
  wrong = "";
  #child;
  #partial = Buffer.alloc(0);
  #window = [];

  /** `only`: "audio" or "video", where there is nothing else to play. */
  constructor(url, only) {
    super();
    const video = [
      "-map", "0:v", "-vf", `scale=${THUMB}:${THUMB}`, "-vsync", "passthrough",
      "-pix_fmt", "gray", "-flush_packets", "1", "-f", "rawvideo", "pipe:3",
      "-map", "0:v", "-c", "copy", "-flush_packets", "1", "-f", "h264", "pipe:4",
    ];
    const audio = [
      "-map", "0:a", "-ar", String(SAMPLE_RATE), "-ac", "1", "-flush_packets", "1", "-f", "s16le", "pipe:1",
    ];
    const args = [
      "-nostdin", "-v", "error", "-threads", "1", "-fflags", "nobuffer", "-analyzeduration", "500000", "-i", url,
      ...(only === "audio" ? [] : video),
      ...(only === "video" ? [] : audio),
    ];
    const child = kept(spawn("ffmpeg", args, { stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"] }));
    this.#child = child;
    child.stdout.on("data", (bytes) => this.#hear(bytes));
    child.stdio[3].on("data", (bytes) => this.#see(bytes));
    child.stdio[4].on("data", (bytes) => {
      this.coded += bytes.length;
      this.changed();
    });
    child.stderr.on("data", (text) => (this.wrong = (this.wrong + text).slice(-4_000)));
    this.ended = false;
    child.once("exit", () => {
      this.ended = true;
      this.changed();
    });
  }

  #see(bytes) {
    const size = THUMB ** 2;
    const all = Buffer.concat([this.#partial, bytes]);
    const whole = all.length - (all.length % size);
    this.#partial = all.subarray(whole);
    if (whole === 0) return;
    this.frames += whole / size;
    this.picture = all.subarray(whole - size, whole);
    this.changed();
  }

  #hear(bytes) {
    for (let at = 0; at + 1 < bytes.length; at += 2) {
      this.#window.push(bytes.readInt16LE(at) / 32_768);
      if (this.#window.length < SAMPLE_RATE / 10) continue;
      const power = this.#window.reduce((sum, sample) => sum + sample ** 2, 0) / this.#window.length;
      this.level = 10 * Math.log10(power);
      this.#window = [];
    }
    this.samples += bytes.length >> 1;
    this.changed();
  }

  get loud() {
    return this.level > -30;
  }

  get silent() {
    return this.samples > 0 && this.level < -80;
  }

  /** Waits for so many more pictures. */
  pictures(count = FPS, patience) {
    const wanted = this.frames + count;
    return this.until(`${count} pictures`, () => this.frames >= wanted, patience);
  }

  /** Waits for so many more seconds of sound. */
  sound(seconds = 1) {
    const wanted = this.samples + seconds * SAMPLE_RATE;
    return this.until(`${seconds} s of sound`, () => this.samples >= wanted);
  }

  /** Waits until a second of sound has come without a picture. */
  async blind() {
    let frames = this.frames;
    let since = this.samples;
    await this.until("sound without a picture", () => {
      if (this.frames !== frames) [frames, since] = [this.frames, this.samples];
      return this.samples - since >= SAMPLE_RATE;
    });
  }

  /** Waits until its connection is over. */
  cut() {
    return this.until("the player is cut", () => this.ended);
  }

  /** Kills it: -9, as a phone does with an app. */
  kill() {
    return stop(this.#child, "SIGKILL");
  }

  describe() {
    return `${this.frames} pictures, ${this.samples} samples, ${this.level.toFixed(1)} dB, ${this.wrong}`;
  }
}

/** What ffprobe says of a stream: its codecs, and its size. Rejects where nothing plays. */
export function probe(url) {
  const args = ["-v", "error", "-analyzeduration", "500000", "-show_streams", "-of", "json", url];
  return new Promise((resolve, reject) => {
    kept(
      execFile("ffprobe", args, { timeout: PATIENCE, killSignal: "SIGKILL" }, (error, out, said) => {
        if (error) return reject(new Error(said.trim() || error.message));
        const { streams } = JSON.parse(out);
        const of = (kind) => streams.find((stream) => stream.codec_type === kind);
        resolve({ video: of("video"), audio: of("audio") });
      }),
    );
  });
}
