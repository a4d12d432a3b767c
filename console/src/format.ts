/** Numbers as people read them. Every text is as wide as its neighbours allow: digits are tabular. */
import { locale, t } from "./i18n";

export const NONE = "–";

function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export const count = (value: number | undefined): string => (value === undefined ? NONE : number(Math.round(value)));

/** Three digits that count, in steps of 1000. */
function scaled(value: number, units: string[], step: number): string {
  let at = 0;
  // What would be shown as a full step is one.
  while (at < units.length - 1 && Math.abs(value) >= step * 0.9995) {
    value /= step;
    at += 1;
  }
  const digits = at === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${number(value, digits)} ${units[at]}`;
}

/** Bits a second. */
export const bitrate = (value: number | undefined): string =>
  value === undefined ? NONE : scaled(value, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"], 1000);

/** Bytes, in steps of 1024. */
export const bytes = (value: number | undefined): string =>
  value === undefined ? NONE : scaled(value, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);

export const percent = (share: number | undefined, digits = 0): string =>
  share === undefined ? NONE : `${number(share * 100, digits)} %`;

/** A short time, such as a delay. */
export function delay(seconds: number | undefined): string {
  if (seconds === undefined) return NONE;
  const ms = seconds * 1000;
  if (ms === 0) return `${number(0)} ms`;
  if (ms < 10) return `${number(ms, 1)} ms`;
  return ms < 999.5 ? `${number(ms)} ms` : `${number(seconds, seconds < 9.995 ? 2 : 1)} s`;
}

/** How long something has been there: its two largest units. */
export function age(seconds: number | undefined): string {
  if (seconds === undefined) return NONE;
  const all = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
  const pad = (value: number) => String(value).padStart(2, "0");
  if (d) return t("age.days", { d, h: pad(h) });
  if (h) return t("age.hours", { h, m: pad(m) });
  if (m) return t("age.minutes", { m, s: pad(s) });
  return t("age.seconds", { s });
}

/** A moment, in seconds since 1970. */
export const moment = (seconds: number): string =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);

/** Frames a second. */
export const fps = (value: number | undefined): string => (value === undefined ? NONE : number(value, value < 10 ? 1 : 0));
