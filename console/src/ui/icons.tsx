/** Icons, 16 by 16, in the colour of the text beside them. */
import type { JSX } from "preact";

const PATHS = {
  overview: "M2 13V9m4 4V5m4 8V7m4 6V3",
  streams: "M3 3.5h10v7H3zM6 13.5h4M7 5.5l3 1.5-3 1.5z",
  channels: "M5.5 7.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM2 13c0-2 1.5-3.5 3.5-3.5S9 11 9 13M10.5 8a1.7 1.7 0 1 0 0-3.4M11 9.6c1.8 0 3 1.4 3 3.4",
  bans: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM3.8 3.8l8.4 8.4",
  publish: "M8 11V3M5 6l3-3 3 3M3 11v2.5h10V11",
  meet: "M2 4h8v8H2zM10 7l4-2v6l-4-2",
  mic: "M8 2a2 2 0 0 1 2 2v4a2 2 0 0 1-4 0V4a2 2 0 0 1 2-2zM4 7.5a4 4 0 0 0 8 0M8 11.5V14",
  "mic-off": "M6 5V4a2 2 0 0 1 4 0v3M4 7.5a4 4 0 0 0 6.5 3M8 11.5V14M3 2l10 11",
  camera: "M2 4.5h8v7H2zM10 7l4-2v6l-4-2",
  "camera-off": "M5 4.5h5v5M8.5 11.5H2v-7M10 7l4-2v6l-2-1M3 2l10 11",
  screen: "M2 3h12v8H2zM5.5 13.5h5",
  sound: "M3 6v4h2l3 2.5v-9L5 6zM10.5 6a3 3 0 0 1 0 4M12.3 4.2a5.5 5.5 0 0 1 0 7.6",
  "sound-off": "M3 6v4h2l3 2.5v-9L5 6zM11 6.5l3 3m0-3l-3 3",
  full: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
  auto: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2v12",
  light: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7",
  dark: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z",
  back: "M10 3L5 8l5 5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
