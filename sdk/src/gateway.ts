/** One question to the gateway: where to connect, or what to do instead. */
import type { PrivateCloud, Transport } from "./api";
import { GATEWAY_TIMEOUT } from "./defaults";
import { failure, failureOf } from "./errors";
import type { LockgateError } from "./errors";

export interface Question {
  sid: string;
  appId: string;
  cname: string;
  uid: string;
  token: string;
}

export type Direction =
  | { kind: "connect"; session: string; urls: string[] }
  | { kind: "again"; why: string }
  | { kind: "refused"; error: LockgateError };

/** The codes after which asking again is no use; any other may be better in two seconds. */
const FINAL = [13, 14, 15, 16, 101, 102, 109, 110, 2002, 2006];

export function isFinal(code: number): boolean {
  return FINAL.indexOf(code) >= 0;
}

export function askGateway(
  transport: Transport,
  server: PrivateCloud,
  question: Question,
): Promise<Direction> {
  const body = JSON.stringify({ ...question, extend: "", wss: isSecure(server) });
  const url = `${base(server)}/arapi/v1?action=wapp_gateway`;
  return run(() => transport.post(url, body, GATEWAY_TIMEOUT)).then(
    (answer) => direction(server, answer),
    (thrown) => ({ kind: "again", why: `no answer: ${String(thrown?.message ?? thrown)}` }),
  );
}

/** What throws at once fails like what fails later. */
async function run<T>(action: () => Promise<T>): Promise<T> {
  return action();
}

function direction(server: PrivateCloud, answer: { status: number; body: string }): Direction {
  let reply: any;
  try {
    reply = JSON.parse(answer.body);
  } catch {
    return { kind: "again", why: `status ${answer.status} without JSON` };
  }
  const code = reply?.code;
  if (typeof code !== "number") return { kind: "again", why: `status ${answer.status} without a code` };
  if (isFinal(code)) return { kind: "refused", error: failureOf(code, reply.msg) };
  if (code !== 0) return { kind: "again", why: `code ${code}` };
  const addresses: any[] = Array.isArray(reply.addresses) ? reply.addresses : [];
  const urls = addresses
    .filter((address) => address?.type === 0 && typeof address.addr === "string" && address.addr)
    .map((address) => socketUrl(isSecure(server), address.addr, address.port));
  if (!urls.length) return { kind: "refused", error: failure("NO_ADDRESS") };
  return { kind: "connect", session: String(reply.session_id ?? ""), urls };
}

function isSecure(server: PrivateCloud): boolean {
  return server.Wss === true;
}

/** With TLS it is 443, whatever the port says: that is how deployed clients read these settings. */
function base(server: PrivateCloud): string {
  const host = hostOf(server.ServerAdd);
  if (isSecure(server)) return `https://${host}`;
  return server.Port === undefined ? `http://${host}` : `http://${host}:${server.Port}`;
}

function socketUrl(secure: boolean, host: string, port: unknown): string {
  const usual = secure ? 443 : 80;
  const number = Number(port) || usual;
  const scheme = secure ? "wss" : "ws";
  return `${scheme}://${hostOf(host)}${number === usual ? "" : `:${number}`}/`;
}

/** An IPv6 address stands in brackets. */
function hostOf(host: string): string {
  return /^[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/.test(host) ? `[${host}]` : host;
}
