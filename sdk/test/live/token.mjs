// Tokens of version 006, written as the protocol page says.
import { createHmac } from "node:crypto";
import { crc32 } from "node:zlib";

export const closedApp = "0123456789abcdef0123456789abcdef";
export const certificate = "fedcba9876543210fedcba9876543210";

const u16 = (value) => Buffer.from(new Uint16Array([value]).buffer);
const u32 = (value) => Buffer.from(new Uint32Array([value]).buffer);
const str = (bytes) => Buffer.concat([u16(bytes.length), bytes]);

/** Join and publish, for so many seconds. */
export function token(channel, uid, seconds, privileges = [1, 2, 3, 4]) {
  const now = Math.floor(Date.now() / 1000);
  const grants = privileges.flatMap((privilege) => [u16(privilege), u32(now + seconds)]);
  const message = Buffer.concat([u32(7), u32(now + 86_400), u16(privileges.length), ...grants]);
  const signed = Buffer.concat([Buffer.from(closedApp + channel + uid), message]);
  const signature = createHmac("sha256", certificate).update(signed).digest();
  const content = [str(signature), u32(crc32(channel)), u32(crc32(String(uid))), str(message)];
  return `006${closedApp}${Buffer.concat(content).toString("base64")}`;
}
