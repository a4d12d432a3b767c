/** What `lockgate.js` and `lockgate.mjs` export. */
import type { ClientConstructor, ErrorName, Log, Transport, WebParts } from "./api";
import { LockgateClient } from "./client";
import { ErrorCode as codes } from "./errors";
import { LOG as logs } from "./log";
import { SDK_VERSION } from "./defaults";
import { webTransport as makeWebTransport } from "./platform/web";

export type * from "./api";

export const Client: ClientConstructor = LockgateClient;
/** The same, as apps import it that were written for another cloud. */
export const client: ClientConstructor = LockgateClient;
export const LOG: Log = logs;
export const ErrorCode: Readonly<Record<ErrorName, number>> = codes;
export const VERSION: string = SDK_VERSION;
/** A transport out of `fetch` and a `WebSocket` class; `undefined` where one is missing. */
export const webTransport: (parts?: WebParts) => Transport | undefined = makeWebTransport;

const lockgate = { Client, client, LOG, ErrorCode, VERSION, webTransport };
export default lockgate;
