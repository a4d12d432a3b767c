/** What this computer can send: a camera with its microphone, the microphone alone, or a screen. */
import { ApiError } from "../api/client";

export type SourceKind = "camera" | "microphone" | "screen";

export interface Picture {
  label: string;
  height: number;
  fps: number;
  /** Bits a second that such a picture is worth. */
  bitrate: number;
}

export const PICTURES: Picture[] = [
  { label: "360p", height: 360, fps: 30, bitrate: 800_000 },
  { label: "540p", height: 540, fps: 30, bitrate: 1_500_000 },
  { label: "720p", height: 720, fps: 30, bitrate: 2_500_000 },
  { label: "1080p", height: 1080, fps: 30, bitrate: 4_500_000 },
];

/** Browsers give cameras to pages of this machine and of https alone. */
export const canCapture = (): boolean => window.isSecureContext && !!navigator.mediaDevices;

export async function capture(
  kind: SourceKind,
  picture: Picture,
  devices: { camera?: string; microphone?: string } = {},
): Promise<MediaStream> {
  const video = { height: { ideal: picture.height }, frameRate: { ideal: picture.fps } };
  const audio = devices.microphone ? { deviceId: { exact: devices.microphone } } : true;
  const camera = devices.camera ? { ...video, deviceId: { exact: devices.camera } } : video;
  try {
    if (kind === "microphone") return await navigator.mediaDevices.getUserMedia({ audio });
    if (kind === "camera") return await navigator.mediaDevices.getUserMedia({ audio, video: camera });
    const screen = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
    if (!screen.getAudioTracks().length) {
      // A screen without its own sound is spoken over; without a microphone it is silent.
      const voice = await navigator.mediaDevices.getUserMedia({ audio }).catch(() => undefined);
      for (const track of voice?.getTracks() ?? []) screen.addTrack(track);
    }
    return screen;
  } catch (thrown) {
    const name = (thrown as DOMException).name;
    throw new ApiError(0, `capture_${name}`, (thrown as Error).message);
  }
}

/** Cameras and microphones; their names are told once the page may use them. */
export async function devices(): Promise<MediaDeviceInfo[]> {
  if (!canCapture()) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(({ deviceId, kind }) => deviceId && kind !== "audiooutput");
}

export const stopTracks = (media: MediaStream | undefined): void => media?.getTracks().forEach((track) => track.stop());
