/**
 * Callbacks or a promise: how every method ends.
 *
 * A failure always reaches somebody: `onFailure`, the promise, or else `unheard`. What an app's
 * callback throws is the app's: it is thrown on, outside the client's own work.
 */
import type { OnFailure } from "./api";
import { asFailure, failure } from "./errors";
import type { LockgateError } from "./errors";

export function settle<T>(
  action: () => T | Promise<T>,
  onSuccess: unknown,
  onFailure: unknown,
  unheard: (error: LockgateError) => void,
  spread: (value: T) => unknown[] = (value) => [value],
): Promise<T> | void {
  const work = run(action, isCallback(onSuccess) && isCallback(onFailure));
  if (isNothing(onSuccess) && isNothing(onFailure)) return work;
  work.then(
    (value) => {
      if (typeof onSuccess === "function") guard(() => onSuccess(...spread(value)));
    },
    (thrown) => {
      const error = asFailure(thrown);
      if (typeof onFailure === "function") guard(() => (onFailure as OnFailure)(error));
      else unheard(error);
    },
  );
}

/** Starts at once, and ends in a promise whatever happens. */
function run<T>(action: () => T | Promise<T>, callbacks: boolean): Promise<T> {
  try {
    if (!callbacks) throw failure("INVALID_ARGUMENT", "a callback is a function");
    return Promise.resolve(action());
  } catch (thrown) {
    return Promise.reject(asFailure(thrown));
  }
}

/** Runs what an app gave; what it throws surfaces as any uncaught error does. */
export function guard(callback: () => void): void {
  try {
    callback();
  } catch (thrown) {
    setTimeout(() => {
      throw thrown;
    }, 0);
  }
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null;
}

function isCallback(value: unknown): boolean {
  return isNothing(value) || typeof value === "function";
}
