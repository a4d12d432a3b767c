/** Who a client is in a channel: what every connection of one stay has in common. */
export interface Identity {
  appId: string;
  channel: string;
  /** "" until the node has picked one. */
  uid: string;
  token: string;
  /** 32 hex characters, the same for every connection of this stay. */
  sid: string;
}

/** Whether it is the same user in the same place, who may go on where it was. */
export function sameMember(last: Identity, now: Identity): boolean {
  // Without a uid it goes on as whom the node made it.
  const uid = now.uid === "" || now.uid === last.uid;
  return uid && last.uid !== "" && last.appId === now.appId && last.channel === now.channel;
}

/** It is what a session comes back by, so it is not to be guessed where the platform can help it. */
export function newSid(): string {
  const bytes = new Uint8Array(16);
  if (typeof crypto !== "undefined" && typeof crypto?.getRandomValues === "function") {
    crypto.getRandomValues(bytes);
  } else {
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = Math.floor(Math.random() * 256);
  }
  return Array.from(bytes, (byte) => `0${byte.toString(16)}`.slice(-2)).join("");
}
