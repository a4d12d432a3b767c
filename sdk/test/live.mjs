// The SDK against a node that runs, with ffmpeg as live-pusher and live-player:
//
//   LOCKGATE_URL=http://127.0.0.1:8080 node test/live.mjs    a node that is there
//   LOCKGATE_BIN=target/release/lockgate node test/live.mjs  one of its own: tokens and restarts too
//
// LOCKGATE_APP (live) and LOCKGATE_TOKEN name the app. What cannot be tried is left out, and said.
import assert from "node:assert/strict";
import { WebSocket } from "ws";
import Lockgate from "../dist/lockgate.mjs";
import { listen } from "./fake/memory.mjs";
import { hasMedia, play, push, stopAll } from "./live/media.mjs";
import { startNode } from "./live/node.mjs";
import { closedApp, token as newToken } from "./live/token.mjs";

const own = process.env.LOCKGATE_BIN ? await startNode(process.env.LOCKGATE_BIN) : undefined;
const base = own?.url ?? new URL(process.env.LOCKGATE_URL ?? "http://127.0.0.1:8080");
const app = process.env.LOCKGATE_APP ?? "live";
const token = process.env.LOCKGATE_TOKEN;
const channel = `live ?#&% ${process.pid}`;
let failed = 0;

Lockgate.LOG.setLogLevel(Number(process.env.LOCKGATE_LOG ?? 4));

function member(appId = app) {
  const client = new Lockgate.Client();
  const sockets = [];
  class Kept extends WebSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  }
  client.setParameters({
    ConfPriCloudAddr: { ServerAdd: base.hostname, Port: Number(base.port || 80), Wss: base.protocol === "https:" },
    transport: Lockgate.webTransport({ WebSocket: Kept }),
  });
  client.init(appId);
  return { client, heard: listen(client), cut: () => sockets[sockets.length - 1].terminate() };
}

async function until(what, condition, ms = 15_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function step(what, run) {
  const start = Date.now();
  try {
    const said = await run();
    console.log(`ok   ${what}${said ? `: ${said}` : ""} (${Date.now() - start} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${what}: ${error.message ?? JSON.stringify(error)}`);
  }
}

const alice = member();
const bob = member();
const media = (await hasMedia()) && process.env.LOCKGATE_MEDIA !== "0";
const names = ({ heard }) => heard.events.map(([name, detail]) => `${name} ${detail?.uid ?? detail?.code ?? ""}`.trim());
const heardOf = (who, event) => until(event, () => names(who).includes(event));
/** How often it was connected. */
const online = ({ heard }) => heard.states.filter(([now]) => now === "CONNECTED").length;
let pushUrl;
let pullUrl;
let stop = () => {};

await step("misuse fails before it reaches the node", async () => {
  await assert.rejects(alice.client.publish(), { code: 2003 });
});
await step("an app that is not there is refused", async () => {
  const other = member("nosuchapp");
  await assert.rejects(other.client.join(token, channel, 1), { code: 101 });
});
await step("join as a number, as text, and as whoever the node says", async () => {
  assert.equal(await alice.client.join(token, channel, 7), 7);
  assert.equal(await bob.client.join(token, channel, "bob"), "bob");
  const third = member();
  const uid = await third.client.join(token, channel);
  assert.match(String(uid), /^[a-zA-Z0-9]{1,48}$/);
  await third.client.destroy();
  return `picked ${uid}`;
});
await step("a stranger is unknown", async () => {
  await assert.rejects(bob.client.subscribe(99), { code: 2005 });
  await assert.rejects(bob.client.mute(99, "all"), { code: 2005 });
});
await step("publish gives a URL, and the same again", async () => {
  pushUrl = await alice.client.publish("all");
  assert.match(pushUrl, new RegExp(`^rtmp://[^/]+/${app}/[a-z0-9]+$`));
  assert.equal(await alice.client.publish(), pushUrl);
});
await step("roles, local mutes, an unpublish and a new publish", async () => {
  await alice.client.muteLocal("all");
  await alice.client.unmuteLocal("all");
  await alice.client.unpublish();
  await alice.client.setRole("audience");
  await assert.rejects(alice.client.publish(), { code: 2004 });
  await alice.client.setRole("broadcaster");
  const again = await alice.client.publish();
  assert.notEqual(again, pushUrl);
  pushUrl = again;
});

if (!media) {
  console.log("skip everything with media: no ffmpeg");
} else {
  await step("media brings stream-added, and not before", async () => {
    assert.deepEqual(names(bob), []);
    stop = push(pushUrl);
    await heardOf(bob, "stream-added 7");
  });
  await step("subscribe gives a URL that plays picture and sound", async () => {
    ({ url: pullUrl } = await bob.client.subscribe(7));
    const seen = await play(pullUrl, 3);
    assert.ok(seen.video > 20 && seen.loud > -40 && !seen.wrong, JSON.stringify(seen));
    return `${seen.video} frames, ${seen.loud} dB`;
  });
  await step("mute audio is silence with a picture", async () => {
    await bob.client.mute(7, "audio");
    const seen = await play(pullUrl, 3);
    await bob.client.unmute(7, "audio");
    assert.ok(seen.video > 20 && seen.loud < -80, JSON.stringify(seen));
    return `${seen.video} frames, ${seen.loud} dB`;
  });
  await step("mute video is sound without a picture", async () => {
    await bob.client.mute(7, "video");
    const seen = await play(pullUrl, 3);
    await bob.client.unmute(7, "video");
    assert.ok(seen.video === 0 && seen.loud > -40, JSON.stringify(seen));
    return `${seen.video} frames, ${seen.loud} dB`;
  });
  await step("muteLocal is told and heard", async () => {
    await alice.client.muteLocal("audio");
    await heardOf(bob, "mute-audio 7");
    const seen = await play(pullUrl, 2);
    assert.ok(seen.loud < -80, JSON.stringify(seen));
    await alice.client.unmuteLocal("audio");
    await heardOf(bob, "unmute-audio 7");
    await alice.client.muteLocal("video");
    await heardOf(bob, "mute-video 7");
    await alice.client.unmuteLocal("video");
    await heardOf(bob, "unmute-video 7");
  });
  await step("a broken WebSocket on both sides changes nothing", async () => {
    const before = [names(alice).length, names(bob).length];
    const connections = [alice, bob].map(online);
    alice.cut();
    bob.cut();
    await until("back", () => online(alice) > connections[0] && online(bob) > connections[1]);
    await pause(1_500);
    assert.deepEqual([names(alice).length, names(bob).length], before, `${names(alice)} | ${names(bob)}`);
    const seen = await play(pullUrl, 2);
    assert.ok(seen.video > 10, JSON.stringify(seen));
  });
  await step("a late member hears of the stream and of what is muted in it", async () => {
    await alice.client.muteLocal("video");
    await heardOf(bob, "mute-video 7");
    const late = member();
    await late.client.join(token, channel, 42);
    await until("both", () => names(late).length === 2);
    assert.deepEqual(names(late), ["stream-added 7", "mute-video 7"]);
    await late.client.leave();
    await alice.client.unmuteLocal("video");
  });
  await step("reports are taken", async () => {
    alice.client.updatePusherStateChange({ detail: { code: 1002, message: "pushing" } });
    bob.client.updatePlayerNetStatus(7, { detail: { info: { videoFPS: 15, videoCache: 300 } } });
    await pause(2_200);
    await Lockgate.LOG.uploadLogs();
    assert.ok(await bob.client.unsubscribe(7).then(() => true));
  });
  await step("an unsubscribed URL is dead", async () => {
    const seen = await play(pullUrl, 2);
    assert.equal(seen.video, 0);
  });
  await step("publishing sound alone is sound alone, and shows as muted", async () => {
    stop();
    await alice.client.unpublish();
    await heardOf(bob, "stream-removed 7");
    bob.heard.events.splice(0);
    stop = push(await alice.client.publish("audio"));
    await heardOf(bob, "stream-added 7");
    await heardOf(bob, "mute-video 7");
    const { url } = await bob.client.subscribe(7);
    const seen = await play(url, 2);
    assert.ok(seen.video === 0 && seen.loud > -40, JSON.stringify(seen));
  });
  await step("rejoin goes on where it was", async () => {
    assert.equal(await bob.client.rejoin(token, channel, "bob", [7]), "bob");
    await heardOf(bob, "update-url 7");
  });
}

await step("the same uid elsewhere replaces it", async () => {
  const twin = member();
  await twin.client.join(token, channel, "bob");
  await until("replaced", () => bob.heard.states.some(([now, , why]) => now === "DISCONNECTED" && why === "UID_REPLACED"));
  await twin.client.destroy();
});
await step("leave, and the others are told", async () => {
  await bob.client.join(token, channel, "bob");
  bob.heard.events.splice(0);
  await alice.client.leave();
  if (media) await heardOf(bob, "stream-removed 7");
  await bob.client.destroy();
  await alice.client.destroy();
});


if (!own) {
  console.log("skip tokens and restarts: no LOCKGATE_BIN");
} else {
  await step("a node that is killed: everyone comes back, with new URLs and the same mutes", async () => {
    const [one, two] = [member(), member()];
    await one.client.join(token, "restart", 1);
    await two.client.join(token, "restart", 2);
    let stopPush = media ? push(await one.client.publish()) : () => {};
    if (media) {
      await heardOf(two, "stream-added 1");
      await two.client.subscribe(1);
      await two.client.mute(1, "audio");
      await one.client.muteLocal("video");
      await heardOf(two, "mute-video 1");
      await one.client.unmuteLocal("video");
      await heardOf(two, "unmute-video 1");
      two.heard.events.splice(0);
    }
    // What a live-pusher does with a new URL.
    one.client.on("update-url", ({ url }) => {
      stopPush();
      stopPush = push(url);
    });
    await own.kill();
    stopPush();
    await until("told", () => [one, two].every(({ heard }) => heard.states.some(([now]) => now === "RECONNECTING")));
    await pause(1_000);
    await own.start();
    await until("back", () => online(one) === 2 && online(two) === 2, 30_000);
    let said = "";
    if (media) {
      await heardOf(one, "update-url 1");
      await until("a new pull URL", () => two.heard.events.some(([name]) => name === "update-url"), 30_000);
      const { url } = two.heard.events.find(([name]) => name === "update-url")[1];
      const seen = await play(url, 3);
      assert.ok(seen.video > 10 && seen.loud < -80, JSON.stringify(seen));
      assert.deepEqual(names(two), ["update-url 1"]);
      said = `${seen.video} frames, ${seen.loud} dB`;
    }
    stopPush();
    await one.client.destroy();
    await two.client.destroy();
    return said;
  });
  await step("a node that stops in order is come back to as well", async () => {
    const one = member();
    await one.client.join(token, "stop", 1);
    await own.kill("SIGTERM");
    await own.start();
    await until("back", () => online(one) === 2, 30_000);
    await one.client.destroy();
  });
  await step("tokens: none and a wrong one are refused, a right one joins", async () => {
    const one = member(closedApp);
    await assert.rejects(one.client.join(undefined, "t", 1), { code: 110 });
    await assert.rejects(one.client.join(newToken("other", 1, 60), "t", 1), { code: 110 });
    await assert.rejects(one.client.join(newToken("t", 1, -60), "t", 1), { code: 109 });
    await one.client.join(newToken("t", 1, 60), "t", 1);
    await one.client.publish();
    await one.client.destroy();
  });
  await step("a token for joining alone does not publish", async () => {
    const one = member(closedApp);
    await one.client.join(newToken("t", 1, 60, [1]), "t", 1);
    await assert.rejects(one.client.publish(), { code: 2009 });
    await one.client.destroy();
  });
  await step("a token that runs out is warned of and renewed; one that is not ends the session", async () => {
    const [one, two] = [member(closedApp), member(closedApp)];
    await one.client.join(newToken("t", 1, 32), "t", 1);
    await two.client.join(newToken("t", 2, 4), "t", 2);
    await heardOf(one, "token-privilege-will-expire");
    await assert.rejects(one.client.renewToken("006bad"), { code: 110 });
    await one.client.renewToken(newToken("t", 1, 600));
    await heardOf(two, "token-privilege-did-expire");
    await until("ended", () => two.heard.states.some(([now, , why]) => now === "DISCONNECTED" && why === "TOKEN_EXPIRED"));
    assert.deepEqual(names(two).slice(-2), ["token-privilege-did-expire", "error 109"]);
    assert.equal(await two.client.rejoin(newToken("t", 2, 60), "t", 2, []), 2);
    await one.client.destroy();
    await two.client.destroy();
  });
}

stop();
stopAll();
await own?.kill();
console.log(failed ? `${failed} failed` : "all good");
process.exit(failed ? 1 : 0);
