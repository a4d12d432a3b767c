/** Dark or light: as the system is, or as was picked. */

export type Theme = "auto" | "light" | "dark";

const STORED = "lockgate.theme";
const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const listeners = new Set<() => void>();
const system = matchMedia("(prefers-color-scheme: dark)");

export function currentTheme(): Theme {
  const stored = localStorage.getItem(STORED);
  return stored === "light" || stored === "dark" ? stored : "auto";
}

export const isDark = (): boolean =>
  currentTheme() === "auto" ? system.matches : currentTheme() === "dark";

export function startTheme(): void {
  system.addEventListener("change", apply);
  apply();
}

export function nextTheme(): void {
  localStorage.setItem(STORED, NEXT[currentTheme()]);
  apply();
}

function apply(): void {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  for (const listener of listeners) listener();
}

export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
