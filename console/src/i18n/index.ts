/** The page's two languages: the reader's own, or the one picked. */
import { en } from "./en";
import { zh } from "./zh";

export type Key = keyof typeof en;
export type Lang = "en" | "zh";

const STORED = "lockgate.lang";
const dictionaries: Record<Lang, Record<Key, string>> = { en, zh };

let lang: Lang = "en";
const listeners = new Set<() => void>();

/** What was picked before, else the first of the browser's languages that is one of ours. */
export function startLang(): void {
  const stored = localStorage.getItem(STORED);
  const wanted = stored ? [stored] : navigator.languages;
  apply(wanted.map((each) => each.slice(0, 2)).find((each) => each === "en" || each === "zh") ?? "en");
}

function apply(to: string): void {
  lang = to === "zh" ? "zh" : "en";
  document.documentElement.lang = locale();
}

export function setLang(to: Lang): void {
  apply(to);
  localStorage.setItem(STORED, to);
  for (const listener of listeners) listener();
}

export function onLang(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export const currentLang = (): Lang => lang;
export const locale = (): string => (lang === "zh" ? "zh-CN" : "en");

/** A text, with what stands in braces filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(dictionaries[lang][key], values);
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

/** A text that may not be there, such as a reason that a newer node gives: then what it was called. */
export function tOr(prefix: string, name: string): string {
  const key = `${prefix}.${name}` as Key;
  return dictionaries[lang][key] ?? name.replaceAll("_", " ");
}
