// `make demo`: two members meet in a channel, with ffmpeg's test pictures as their cameras, and say what
// they are told, see and hear. At LOCKGATE_URL, else at the node that runs here, else at one of its own.
import { Player, Pusher, probe, stopMedia } from "../test/e2e/media.mjs";
import { Member, leaveAll } from "../test/e2e/member.mjs";
import { Node } from "../test/e2e/node.mjs";

const USUAL = "http://127.0.0.1:8080";
const app = process.env.LOCKGATE_APP ?? "live";
const channel = process.env.LOCKGATE_CHANNEL ?? `demo ${process.pid}`;
const start = performance.now();

function say(who, what) {
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${seconds.padStart(5)} s  ${who.padEnd(7)} ${what}`);
}

/** Whether a node with this app and a gateway is there. */
async function meets(http) {
  const question = { sid: "0".repeat(32), appId: app, cname: channel, uid: "", token: "", extend: "", wss: false };
  const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question) };
  try {
    const answer = await fetch(new URL("/arapi/v1?action=wapp_gateway", http), request);
    return (await answer.json()).code === 0;
  } catch {
    return false;
  }
}

/** The node to meet at: its address, and what stops it if it is the demo's own. */
async function meetingPlace() {
  const given = process.env.LOCKGATE_URL;
  const http = new URL(given ?? USUAL);
  if (await meets(http)) {
    say("node", `${http.origin}, which runs already`);
    return { http, end: stop };
  }
  if (given) throw new Error(`no node at ${given} lets anybody join the app ${app}`);
  const node = await Node.start();
  say("node", `${node.http.origin}, started for this demo`);
  return { http: node.http, end: () => node.kill("SIGTERM") };
}

async function join(http, name, uid, picture, tone) {
  const member = new Member(http, app);
  member.onEvent = (event) => say(name, `is told ${event}`);
  await member.client.join(undefined, channel, uid);
  say(name, `has joined "${channel}" as ${uid}`);
  const url = await member.client.publish("all");
  say(name, `pushes ${picture} and a tone of ${tone} Hz to ${url}`);
  return { name, uid, member, pusher: new Pusher(url, picture, tone) };
}

/** Subscribes one to the other, and says what is in the stream. */
async function watch(one, other) {
  await one.member.heard(`stream-added ${other.uid}`);
  const { url } = await one.member.client.subscribe(other.uid);
  const { video, audio } = await probe(url);
  const size = `${video.width}x${video.height}`;
  say(one.name, `plays ${url}: ${video.codec_name} ${size}, ${audio.codec_name} ${audio.sample_rate} Hz`);
  one.player = new Player(url);
  await one.player.until("sound", () => one.player.loud);
  // A player is first given the pictures since the last keyframe: they come faster than life.
  await one.player.sound(1);
  await look(one, other);
}

/** Says how one sees and hears the other, over two seconds. */
async function look(one, other) {
  const { player } = one;
  const [frames, since] = [player.frames, performance.now()];
  await player.sound(2);
  const rate = (player.frames - frames) / ((performance.now() - since) / 1000);
  const sound = player.silent ? "silence" : `sound at ${player.level.toFixed(0)} dB`;
  say(one.name, `sees ${other.name} at ${rate.toFixed(1)} frames/s, ${sound}`);
}

let stop = async () => {};
try {
  const { http, end } = await meetingPlace();
  stop = end;
  const alice = await join(http, "alice", 1, "testsrc2", 440);
  const bob = await join(http, "bob", 2, "smptebars", 880);
  await Promise.all([watch(alice, bob), watch(bob, alice)]);

  say("alice", "mutes bob's sound, for herself");
  await alice.member.client.mute(2, "audio");
  await alice.player.until("silence", () => alice.player.silent);
  await Promise.all([look(alice, bob), look(bob, alice)]);
  say("alice", "unmutes it");
  await alice.member.client.unmute(2, "audio");
  await alice.player.until("sound", () => alice.player.loud);
  await look(alice, bob);

  say("bob", "turns his camera off, for everybody");
  await bob.member.client.muteLocal("video");
  await alice.member.heard("mute-video 2");
  await alice.player.blind();
  await look(alice, bob);
  say("bob", "turns it on again");
  await bob.member.client.unmuteLocal("video");
  await alice.member.heard("unmute-video 2");
  await alice.player.pictures();
  await look(alice, bob);

  say("bob", "leaves");
  await bob.member.client.leave();
  await alice.member.heard("stream-removed 2");
  await alice.player.cut();
  await alice.member.client.leave();
  say("alice", "leaves as well");
} catch (error) {
  console.error(`the demo failed: ${error.reason ?? error.message}`);
  process.exitCode = 1;
} finally {
  await Promise.all([leaveAll(), stopMedia()]);
  await stop();
}
