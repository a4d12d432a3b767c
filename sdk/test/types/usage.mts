// Compiled, not run: the published types take what apps write, and refuse what cannot be.
import Lockgate, { Client, ErrorCode, LOG, client as OldName, webTransport } from "lockgate-sdk";
import type { ClientError, ConnectionState, Subscription, Transport, Uid } from "lockgate-sdk";

const client: Client = new Lockgate.Client();
new Client();
new OldName();
new Lockgate.client();

client.init("app", () => {}, (err) => err.code + err.reason.length);
const ready: Promise<void> = client.init("app");
const uid: Promise<Uid> = client.join(undefined, "room", 7);
const nothing: void = client.join(undefined, "room", "alice", (uid: Uid) => uid, () => {});
client.join("token", "room", null, () => {}, null);
const again: Promise<Uid> = client.rejoin(null, "room", 7, [1, "bob"]);
client.rejoin(null, "room", 7, [1, "bob"], (uid) => uid, (err: ClientError) => err);

const url: Promise<string> = client.publish();
const audio: Promise<string> = client.publish("audio");
client.publish((url) => url.length, (err) => err.code);
client.publish("all", (url) => url.length, (err) => err.code);
const subscription: Promise<Subscription> = client.subscribe("bob");
client.subscribe(7, (url, rotation) => url.length + rotation);
client.mute(7, "all", () => {}, () => {});
client.unmute(7, "video");
client.muteLocal("audio");
client.unmuteLocal("all", () => {});
client.setRole("audience", () => {}, () => {});
client.unpublish();
client.unsubscribe(7, () => {}, () => {});
client.renewToken("t");
client.leave(() => {}, () => {});
client.destroy(() => {}, (err?: ClientError) => err);
client.setParameters({ ConfPriCloudAddr: { ServerAdd: "host", Port: 8080, Wss: false } });

const transport: Transport | undefined = webTransport({ WebSocket: class {} });
client.setParameters({ transport });
client.setParameters({ pullForm: "http-flv" });
client.setParameters({ pullForm: "whep", pushForm: "whip" });
// @ts-expect-error: there is no such form.
client.setParameters({ pullForm: "hls" });

client.on("stream-added", (evt) => evt.uid);
client.once("update-url", ({ uid, url }) => [uid, url]);
client.on("connection-state-change", (now: ConnectionState, before: ConnectionState, why) => [now, before, why]);
client.on("video-rotation", ({ rotation }) => rotation + 1);
client.off("error");
client.off("error", () => {});
client.updatePusherStateChange({ detail: { code: 1002, message: "" } });
client.updatePlayerNetStatus(7, { info: { videoFPS: 15 } });

LOG.setLogLevel(0);
LOG.onLog = (line) => line.length;
LOG.uploadLogs().then(() => {});
Lockgate.LOG.uploadLogs(() => {}, (err) => err.reason);
const code: number = ErrorCode.NOT_JOINED;

// @ts-expect-error no such event
client.on("stream-add", () => {});
// @ts-expect-error no such target
client.mute(7, "sound");
// @ts-expect-error no such role
client.setRole("host");
// @ts-expect-error no such code
ErrorCode.NO_SUCH;

export { again, audio, code, nothing, ready, subscription, uid, url };
