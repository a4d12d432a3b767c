/** Which network this platform has. */
import type { Transport } from "../api";
import { webTransport } from "./web";
import { wechatTransport } from "./wechat";

export function platformTransport(): Transport | undefined {
  return wechatTransport() ?? webTransport();
}
