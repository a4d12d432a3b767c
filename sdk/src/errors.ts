/**
 * The one table of errors: what a call fails with, whoever found out.
 *
 * Below 3000 the node says it, and the client says the same where it need not ask; from 3000 on it
 * is the client's own. The README shows this table, and a test holds the two equal.
 */
import type { ClientError, ErrorName } from "./api";

export const errors = {
  DEVELOPER_INVALID: [13, "the node does not take this channel or uid"],
  UID_BANNED: [14, "this uid is banned"],
  IP_BANNED: [15, "this address is banned"],
  CHANNEL_BANNED: [16, "this channel is banned"],
  APP_INVALID: [101, "no app of this id"],
  NOT_OPEN: [102, "this app is not open"],
  TOKEN_EXPIRED: [109, "the token has expired"],
  TOKEN_INVALID: [110, "the token is not valid for this app, channel and uid"],
  TRY_AGAIN: [2001, "the node cannot do it now"],
  REFUSED: [2002, "refused by the app's own service"],
  NOT_JOINED: [2003, "not in a channel: call join and wait for its success"],
  AUDIENCE_MAY_NOT_PUBLISH: [2004, "an audience may not publish: call setRole(\"broadcaster\")"],
  UNKNOWN_USER: [2005, "no such user in this channel, or it publishes nothing"],
  MALFORMED: [2006, "the node cannot read this request"],
  TOO_MANY: [2007, "too many: a limit of the node is reached"],
  ALREADY_JOINED: [2008, "in a channel already: call leave first"],
  MAY_NOT_PUBLISH: [2009, "the token does not let this user publish"],
  NOT_INITIALIZED: [3001, "call init first"],
  INVALID_ARGUMENT: [3002, "an argument cannot be"],
  NO_SERVER: [3003, "no node: call setParameters({ ConfPriCloudAddr }) first"],
  NO_ADDRESS: [3004, "the gateway named no address that this client can use"],
  NO_TRANSPORT: [3005, "this platform has no WebSocket: call setParameters({ transport })"],
  TIMEOUT: [3006, "the node did not answer in time"],
  ABORTED: [3007, "given up: the client left first"],
  NOT_PUBLISHED: [3008, "nothing is published"],
  NOT_SUBSCRIBED: [3009, "not subscribed to this user"],
  DESTROYED: [3010, "the client is destroyed: call init first"],
  UID_REPLACED: [3011, "the same uid has joined from elsewhere"],
  CLOSED_BY_SERVER: [3012, "the node has ended this session"],
} as const satisfies Record<ErrorName, readonly [number, string]>;

/** The codes by name, for apps. */
export const ErrorCode = Object.keys(errors).reduce(
  (codes, name) => {
    codes[name as ErrorName] = errors[name as ErrorName][0];
    return codes;
  },
  {} as Record<ErrorName, number>,
);

export class LockgateError extends Error implements ClientError {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(`${reason} (${code})`);
    // The prototype is lost where classes are turned into functions.
    Object.setPrototypeOf(this, LockgateError.prototype);
    Object.defineProperty(this, "name", { value: "LockgateError" });
    this.code = code;
    this.reason = reason;
  }
}

/** The error of a name; `detail` says what exactly. */
export function failure(name: ErrorName, detail?: string): LockgateError {
  const [code, reason] = errors[name];
  return new LockgateError(code, detail ? `${reason}: ${detail}` : reason);
}

/** The error of a code that the node answered. */
export function failureOf(code: number, message?: unknown): LockgateError {
  for (const name of Object.keys(errors) as ErrorName[]) {
    if (errors[name][0] === code) return failure(name);
  }
  const text = typeof message === "string" && message ? message : "the node refused";
  return new LockgateError(code, text);
}

/** Anything thrown, as an error of ours. */
export function asFailure(thrown: unknown): LockgateError {
  if (thrown instanceof LockgateError) return thrown;
  return failure("INVALID_ARGUMENT", String((thrown as Error)?.message ?? thrown));
}
