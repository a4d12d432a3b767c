// ffmpeg as a live-pusher and as a live-player.
import { execFile, spawn } from "node:child_process";

const children = new Set();

function kept(child) {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

export function stopAll() {
  for (const child of children) child.kill("SIGKILL");
}

export const hasMedia = () => new Promise((resolve) => execFile("ffmpeg", ["-version"], (error) => resolve(!error)));

/** Pushes moving bars and a loud tone, a keyframe a second. Gives back what stops it. */
export function push(url) {
  const args = [
    "-nostdin", "-v", "quiet", "-re",
    "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15",
    "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p",
    "-c:a", "aac", "-ac", "1", "-f", "flv", url,
  ];
  const child = kept(spawn("ffmpeg", args, { stdio: "ignore" }));
  return () => child.kill("SIGKILL");
}

/** Plays for some seconds: how many pictures, and how loud it was (dB). */
export function play(url, seconds) {
  return new Promise((resolve) => {
    const args = [
      "-nostdin", "-v", "info", "-analyzeduration", "1000000", "-i", url,
      "-map", "0:a?", "-map", "0:v?", "-af", "volumedetect", "-f", "null", "-",
    ];
    const child = kept(execFile("ffmpeg", args, (error, _, log) => {
      clearTimeout(timer);
      const frames = [...log.matchAll(/frame=\s*(\d+)/g)].pop();
      const loud = log.match(/mean_volume: (-?[\d.]+) dB/);
      const wrong = /error while decoding|corrupt|non-existing/i.test(log);
      resolve({ video: frames ? Number(frames[1]) : 0, loud: loud ? Number(loud[1]) : undefined, wrong });
    }));
    // A track that is muted never reaches a duration, so the end comes from outside. A second is
    // for finding out what is in the stream.
    const timer = setTimeout(() => child.kill("SIGINT"), (seconds + 1) * 1000);
  });
}
