/** The listeners of a client, called in the order they came in. */
import type { ClientEvents, EventName } from "./api";
import { guard } from "./settle";

interface Listener {
  callback: (...args: any[]) => void;
  once: boolean;
}

const NAMES: Record<EventName, true> = {
  "stream-added": true,
  "stream-removed": true,
  "mute-audio": true,
  "mute-video": true,
  "unmute-audio": true,
  "unmute-video": true,
  "update-url": true,
  "video-rotation": true,
  error: true,
  "connection-state-change": true,
  "token-privilege-will-expire": true,
  "token-privilege-did-expire": true,
};

export class Emitter {
  private readonly listeners = new Map<string, Listener[]>();

  static knows(event: unknown): boolean {
    return typeof event === "string" && Object.prototype.hasOwnProperty.call(NAMES, event);
  }

  add(event: string, callback: (...args: any[]) => void, once: boolean): void {
    const of = this.listeners.get(event) ?? [];
    this.listeners.set(event, [...of, { callback, once }]);
  }

  remove(event: string, callback?: unknown): void {
    if (callback === undefined || callback === null) this.listeners.delete(event);
    else this.keep(event, (listener) => listener.callback !== callback);
  }

  clear(): void {
    this.listeners.clear();
  }

  /** True when somebody heard it. */
  emit<E extends EventName>(event: E, ...args: globalThis.Parameters<ClientEvents[E]>): boolean {
    const of = this.listeners.get(event) ?? [];
    for (const listener of of) {
      if (listener.once) this.keep(event, (other) => other !== listener);
      guard(() => listener.callback(...args));
    }
    return of.length > 0;
  }

  private keep(event: string, wanted: (listener: Listener) => boolean): void {
    const of = this.listeners.get(event);
    // A new array: an event that is being told keeps the one it started with.
    if (of) this.listeners.set(event, of.filter(wanted));
  }
}
