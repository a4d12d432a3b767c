/** Every number that a connection runs on, in milliseconds, and why it is what it is. */

/** What the client calls itself on Login. */
export const SDK_VERSION = "0.1.0";

/** What this client knows beyond the protocol of deployed ones: the node sends it no other addition. */
export const CAPS = ["token-events", "reports", "update-url", "video-rotation"];

/** The protocol: the gateway is asked again after 2 s, for ever. */
export const GATEWAY_RETRY = 2_000;

/** Spreads out the clients that a restarted node has lost all at once. */
export const GATEWAY_JITTER = 500;

/** An HTTP answer later than this is none. */
export const GATEWAY_TIMEOUT = 8_000;

/** From opening the WebSocket to Login's answer. */
export const LOGIN_TIMEOUT = 10_000;

/** The back-off of a WebSocket that fails: doubled from the first to the last. */
export const BACKOFF_FIRST = 500;
export const BACKOFF_LAST = 8_000;

/** The protocol: a sign of life every 10 s, and 30 s without an answer break the connection. */
export const KEEPALIVE_EVERY = 10_000;
export const KEEPALIVE_LIMIT = 30_000;

/** After a change of network or a return to the foreground an answer is due sooner. */
export const PROBE_LIMIT = 4_000;

/** A request that a live connection does not answer for this long has failed. */
export const REQUEST_TIMEOUT = 10_000;

/** How long leaving waits for the node to say so. */
export const LOGOUT_TIMEOUT = 2_000;

/** After a reconnect, a user who was there before and is not told of again is gone: publishers reconnect too. */
export const LOST_AFTER = 30_000;

/** What is muted in a stream is told right after the stream. */
export const RECHECK_AFTER = 1_000;

/** Reports are gathered for this long; net statuses come every 2 s from each component. */
export const REPORT_EVERY = 2_000;
