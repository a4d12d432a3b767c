/**
 * What an app passes in, read once: after this a uid is text of the wire, a target two booleans.
 *
 * Users keep the form that the app gave them in; `Uids` remembers it.
 */
import type { Target, Uid } from "./api";
import { failure } from "./errors";

const CHANNEL = /^[a-zA-Z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]{1,64}$/;
const UID = /^[a-zA-Z0-9]{1,48}$/;
const NUMBER = /^[1-9][0-9]{0,9}$/;
const LARGEST = 0xffff_ffff;

export function channelName(value: unknown): string {
  if (typeof value === "string" && CHANNEL.test(value)) return value;
  throw failure("INVALID_ARGUMENT", "a channel is 1 to 64 letters, digits and common signs");
}

/** A user's uid as text. */
export function uidText(value: unknown): string {
  if (typeof value === "string" && UID.test(value)) return value;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= LARGEST) {
    return String(value);
  }
  throw failure("INVALID_ARGUMENT", "a uid is 1 to 2^32-1, or 1 to 48 letters and digits");
}

/** The uid to join as: "" where the node is to pick one. */
export function ownUid(value: unknown): string {
  if (value === undefined || value === null || value === "" || value === 0) return "";
  return uidText(value);
}

export function tokenText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  throw failure("INVALID_ARGUMENT", "a token is text");
}

/** The kinds that a target names. */
export interface Kinds {
  audio: boolean;
  video: boolean;
}

export function kindsOf(target: unknown): Kinds {
  if (target === "all") return { audio: true, video: true };
  if (target === "audio") return { audio: true, video: false };
  if (target === "video") return { audio: false, video: true };
  throw failure("INVALID_ARGUMENT", 'a target is "audio", "video" or "all"');
}

export function targetOf(target: unknown): Target {
  kindsOf(target);
  return target as Target;
}

/** Gives uids back in the form they were given in. */
export class Uids {
  private readonly given = new Map<string, Uid>();
  private numbers = false;

  /** The app joins as this: one that is a number itself gets the others as numbers. */
  own(given: unknown, text: string): void {
    // Nothing was given: what was before stands.
    if (given === undefined || given === null || given === "" || given === 0) return;
    this.numbers = typeof given === "number";
    this.learn(given as Uid, text);
  }

  learn(given: Uid, text: string): void {
    if (text) this.given.set(text, given);
  }

  of(text: string): Uid {
    const given = this.given.get(text);
    if (given !== undefined) return given;
    const number = NUMBER.test(text) && Number(text) <= LARGEST;
    return this.numbers && number ? Number(text) : text;
  }
}
