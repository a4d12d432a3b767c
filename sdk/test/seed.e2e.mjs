// Every method of the API, through the SDK as it is built, against a node that runs, with real media:
// ffmpeg pushes as live-pusher does and plays as live-player does.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { HEIGHT, Player, Pusher, WIDTH, probe, stopMedia } from "./e2e/media.mjs";
import { Member, leaveAll } from "./e2e/member.mjs";
import { Node } from "./e2e/node.mjs";
import { PATIENCE } from "./e2e/watched.mjs";

let node;
before(async () => {
  node = await Node.start("apps=[{name=\"live\", access=\"open\"}]");
});
after(async () => {
  await Promise.all([leaveAll(), stopMedia()]);
  await node?.kill();
});

/** A call as the API's examples make it: with callbacks. */
const call = ({ client }, method, ...args) =>
  new Promise((ok, fail) => {
    const given = client[method](...args, (...values) => ok(values[0]), fail);
    assert.equal(given, undefined, `${method} with callbacks gives nothing back`);
  });

const refused = (promise, code) =>
  assert.rejects(promise, (error) => error.code === code && typeof error.reason === "string" && error.reason !== "");

const join = (channel, uid) => Member.join(node, channel, uid);
const leave = (...members) => Promise.all(members.map(({ client }) => client.destroy()));

/** Alice publishes and is pushed for; everybody else has heard of it. */
async function meeting(channel, ...others) {
  const alice = await join(channel, 1);
  const members = await Promise.all(others.map((uid) => join(channel, uid)));
  const url = await call(alice, "publish", "all");
  const pusher = new Pusher(url);
  await Promise.all(members.map((member) => member.heard("stream-added 1")));
  return { alice, members, pusher, url };
}

/** A live-player that shows a picture and sounds. */
async function watch(member, uid = 1) {
  const player = new Player(await call(member, "subscribe", uid));
  await player.pictures(2);
  await player.until("sound", () => player.loud);
  return player;
}

/** Nothing plays at a URL. */
const dead = (url) => assert.rejects(probe(url));

describe("each method does with real media what it says", { concurrency: 4 }, () => {
  test("init names the app, and one that is not there is refused", async () => {
    const member = new Member(node.http);
    await refused(call(member, "init", ""), 3002);
    await call(member, "init", "nosuchapp");
    await refused(call(member, "join", undefined, "init", 1), 101);
    await call(member, "init", "live");
    assert.equal(await call(member, "join", undefined, "init", 1), 1);
    await refused(call(member, "init", "other"), 2008);
    await leave(member);
  });

  test("join gives the uid back as it was given, and picks one where none was", async () => {
    const channel = "join: !#$%&()+-;<=.>?@[]^_{}|~,";
    const one = new Member(node.http);
    assert.equal(await call(one, "join", undefined, channel, 4294967295), 4294967295);
    await refused(call(one, "join", undefined, channel, 1), 2008);
    const two = new Member(node.http);
    assert.equal(await call(two, "join", "", channel, "bob"), "bob");
    const three = new Member(node.http);
    assert.match(String(await call(three, "join", null, channel, null)), /^[a-zA-Z0-9]{1,48}$/);
    await refused(call(new Member(node.http), "join", undefined, "中文", 1), 3002);
    const { total } = await node.api(`/channels/live/${encodeURIComponent(channel)}/members`);
    assert.equal(total, 3);
    await leave(one, two, three);
  });

  test("publish gives a push URL, and stream-added comes with the media", async () => {
    const [alice, bob] = [await join("publish", 1), await join("publish", 2)];
    await refused(call(bob, "subscribe", 1), 2005);
    bob.events.splice(0);
    const url = await call(alice, "publish", "all");
    assert.match(url, new RegExp(`^rtmp://${node.rtmp}/live/[a-z0-9]+$`));
    assert.equal(await call(alice, "publish"), url, "publish(ok, fail) is the same publication");
    const pusher = new Pusher(url);
    assert.deepEqual(await bob.heard("stream-added 1"), []);
    const player = await watch(bob);
    assert.deepEqual(bob.events, []);
    assert.deepEqual(alice.events, [], "a publisher is not told of itself");
    await Promise.all([pusher.kill(), player.kill()]);
    await leave(alice, bob);
  });

  test("publish with a target leaves the other kind out, and shows it as muted", async () => {
    const [alice, bob] = [await join("target", 1), await join("target", 2)];
    await refused(call(alice, "publish", "screen"), 3002);
    let pusher = new Pusher(await call(alice, "publish", "audio"));
    await bob.heard("stream-added 1");
    assert.deepEqual(await bob.heard("mute-video 1"), []);
    let url = await call(bob, "subscribe", 1);
    let player = new Player(url, "audio");
    await player.until("sound", () => player.loud);
    assert.equal((await probe(url)).video, undefined);
    await call(alice, "unpublish");
    await bob.heard("stream-removed 1");
    await player.cut();

    pusher = new Pusher(await call(alice, "publish", "video"));
    await bob.heard("stream-added 1");
    assert.deepEqual(await bob.heard("mute-audio 1"), []);
    url = await call(bob, "subscribe", 1);
    player = new Player(url, "video");
    await player.pictures();
    assert.equal((await probe(url)).audio, undefined);
    await Promise.all([pusher.kill(), player.kill()]);
    await leave(alice, bob);
  });

  test("subscribe gives a pull URL that plays what is pushed", async () => {
    const { alice, members: [bob, carol], pusher } = await meeting("subscribe", 2, 3);
    await refused(call(bob, "subscribe", 99), 2005);
    const url = await call(bob, "subscribe", 1);
    assert.match(url, new RegExp(`^rtmp://${node.rtmp}/live/[a-z0-9]+$`));
    assert.equal(await call(bob, "subscribe", 1), url);
    assert.notEqual(await call(carol, "subscribe", "1"), url, "everyone has a URL of their own");
    const { video, audio } = await probe(url);
    assert.deepEqual([video.codec_name, video.width, video.height], ["h264", WIDTH, HEIGHT]);
    assert.equal(audio.codec_name, "aac");
    const players = await Promise.all([bob, carol].map((member) => watch(member)));
    await Promise.all([...players.map((player) => player.kill()), pusher.kill()]);
    await leave(alice, bob, carol);
  });

  test("mute audio is silence while the pictures go on, for the one who asked", async () => {
    const { alice, members: [bob, carol], pusher } = await meeting("mute audio", 2, 3);
    await refused(call(bob, "mute", 99, "audio"), 2005);
    await refused(call(bob, "mute", 1, "sound"), 3002);
    const [mine, other] = await Promise.all([watch(bob), watch(carol)]);
    await call(bob, "mute", 1, "audio");
    await mine.until("silence", () => mine.silent);
    const before = mine.frames;
    await Promise.all([mine.sound(1), mine.pictures(), other.sound(1)]);
    assert.ok(mine.silent, mine.describe());
    assert.ok(mine.frames - before >= 10, `pictures go on: ${mine.describe()}`);
    assert.ok(other.loud, other.describe());
    await call(bob, "unmute", 1, "audio");
    await mine.until("sound", () => mine.loud);
    assert.equal(mine.wrong, "");
    await Promise.all([mine, other, pusher].map((each) => each.kill()));
    assert.deepEqual(carol.events, [], "what bob does not want is nobody else's business");
    await leave(alice, bob, carol);
  });

  test("mute video is no picture while the sound goes on, and unmute a picture at once", async (t) => {
    const { alice, members: [bob, carol], pusher } = await meeting("mute video", 2, 3);
    const [mine, other] = await Promise.all([watch(bob), watch(carol)]);
    // Until its first bytes are here, and until it is decoded, by a player that shares the machine.
    const [came, shown] = [[], []];
    for (let turn = 0; turn < 5; turn += 1) {
      await call(bob, "mute", 1, "video");
      await mine.blind();
      assert.ok(mine.loud, mine.describe());
      const { picture, coded } = mine;
      const start = performance.now();
      const here = mine.until("a coded picture", () => mine.coded > coded).then(() => came.push(performance.now() - start));
      await call(bob, "unmute", 1, "video");
      await Promise.all([here, mine.pictures(1)]);
      shown.push(performance.now() - start);
      assert.notDeepEqual(mine.picture, picture, "it is not one from before");
    }
    for (const took of [came, shown]) took.sort((a, b) => a - b);
    const ms = (took) => took.map((each) => each.toFixed(0)).join(", ");
    t.diagnostic(`after unmute a picture is here in ${ms(came)} ms and shown in ${ms(shown)} ms; keyframes every 2 s`);
    // One of them may meet whatever else this machine does.
    assert.ok(came[3] < 100, `four of five pictures are here in 100 ms: ${came}`);
    assert.ok(shown[2] < 100, `half of them are shown by then: ${shown}`);
    await mine.pictures();
    assert.equal(mine.wrong, "", "nothing is wrong with what was decoded");
    await other.pictures();
    await Promise.all([mine, other, pusher].map((each) => each.kill()));
    await leave(alice, bob, carol);
  });

  test("mute all is neither, unmute brings back what it names", async () => {
    const { alice, members: [bob], pusher } = await meeting("mute all", 2);
    const player = await watch(bob);
    await call(bob, "mute", "1", "all");
    await player.until("silence", () => player.silent);
    await player.blind();
    await call(bob, "unmute", 1, "video");
    await player.pictures();
    assert.ok(player.silent, player.describe());
    await call(bob, "mute", 1, "video");
    await player.blind();
    await call(bob, "unmute", 1, "all");
    await player.pictures();
    await player.until("sound", () => player.loud);
    assert.equal(player.wrong, "");
    await Promise.all([player, pusher].map((each) => each.kill()));
    await leave(alice, bob);
  });

  test("a mute that comes before the player counts from its first packet", async () => {
    const { alice, members: [bob], pusher } = await meeting("mute first", 2);
    const url = call(bob, "subscribe", 1);
    bob.client.mute(1, "audio");
    const player = new Player(await url);
    let loudest = -Infinity;
    await player.until("two seconds of sound", () => {
      loudest = Math.max(loudest, player.level);
      return player.samples > 16_000;
    });
    assert.ok(loudest < -80, `${loudest} dB`);
    await player.pictures();
    await Promise.all([player, pusher].map((each) => each.kill()));
    await leave(alice, bob);
  });

  test("muteLocal and unmuteLocal are told to everybody, seen and heard", async () => {
    const { alice, members: [bob, carol], pusher } = await meeting("local", 2, 3);
    const players = await Promise.all([watch(bob), watch(carol)]);
    const all = (what) => Promise.all(players.map(what));
    const told = (event) => Promise.all([bob, carol].map((member) => member.heard(event)));

    await call(alice, "muteLocal", "audio");
    await told("mute-audio 1");
    await all((player) => player.until("silence", () => player.silent));
    await all((player) => player.pictures());
    await call(alice, "unmuteLocal", "audio");
    await told("unmute-audio 1");
    await all((player) => player.until("sound", () => player.loud));

    await call(alice, "muteLocal", "video");
    await told("mute-video 1");
    await all((player) => player.blind());
    await all((player) => assert.ok(player.loud, player.describe()));
    await call(alice, "unmuteLocal", "video");
    await told("unmute-video 1");
    await all((player) => player.pictures());

    await call(alice, "muteLocal", "all");
    await told("mute-audio 1");
    await told("mute-video 1");
    await all((player) => player.until("silence", () => player.silent));
    await all((player) => player.blind());
    await call(alice, "unmuteLocal", "all");
    await all((player) => player.pictures());
    await all((player) => player.until("sound", () => player.loud));
    await all((player) => assert.equal(player.wrong, ""));
    await all((player) => player.kill());
    await pusher.kill();
    await leave(alice, bob, carol);
  });

  test("who joins late is told of the stream, then of what is muted in it", async () => {
    const { alice, members: [bob], pusher } = await meeting("late", 2);
    await call(alice, "muteLocal", "audio");
    await bob.heard("mute-audio 1");
    const carol = await join("late", 3);
    await carol.heard("stream-added 1");
    assert.deepEqual(await carol.heard("mute-audio 1"), []);
    const player = new Player(await call(carol, "subscribe", 1));
    await player.pictures();
    await player.until("silence", () => player.silent);
    await call(alice, "unmuteLocal", "audio");
    assert.deepEqual(await carol.heard("unmute-audio 1"), []);
    await player.until("sound", () => player.loud);
    await Promise.all([player, pusher].map((each) => each.kill()));
    await leave(alice, bob, carol);
  });

  test("setRole before join makes an audience, which may watch and not publish", async () => {
    const { alice, members: [bob], pusher } = await meeting("role before", 2);
    const carol = new Member(node.http);
    await refused(call(carol, "setRole", "listener"), 3002);
    await call(carol, "setRole", "audience");
    await call(carol, "join", undefined, "role before", 3);
    await refused(call(carol, "publish", "all"), 2004);
    await carol.heard("stream-added 1");
    const player = await watch(carol);
    await call(carol, "setRole", "broadcaster");
    const second = new Pusher(await call(carol, "publish", "all"));
    await bob.heard("stream-added 3");
    await Promise.all([player, pusher, second].map((each) => each.kill()));
    await leave(alice, bob, carol);
  });

  test("setRole after join ends the publication of one who becomes an audience", async () => {
    const { alice, members: [bob], pusher, url } = await meeting("role after", 2);
    const player = await watch(bob);
    await call(alice, "setRole", "audience");
    assert.deepEqual(await bob.heard("stream-removed 1"), []);
    await Promise.all([player.cut(), pusher.over]);
    await new Pusher(url).over;
    await refused(call(alice, "publish", "all"), 2004);
    await call(alice, "setRole", "broadcaster");
    const again = await call(alice, "publish", "all");
    assert.notEqual(again, url);
    const second = new Pusher(again);
    assert.deepEqual(await bob.heard("stream-added 1"), [], "the dead URL brought nothing");
    await second.kill();
    await leave(alice, bob);
  });

  test("unpublish cuts the pusher and the players, and its URL is dead", async () => {
    const { alice, members: [bob], pusher, url } = await meeting("unpublish", 2);
    const player = await watch(bob);
    await call(alice, "unpublish");
    assert.deepEqual(await bob.heard("stream-removed 1"), []);
    await Promise.all([player.cut(), pusher.over]);
    await new Pusher(url).over;
    await refused(call(bob, "subscribe", 1), 2005);
    await refused(call(alice, "unpublish"), 3008);
    await leave(alice, bob);
  });

  test("unsubscribe cuts that player alone, and its URL is dead", async () => {
    const { alice, members: [bob, carol], pusher } = await meeting("unsubscribe", 2, 3);
    const url = await call(bob, "subscribe", 1);
    const [mine, other] = await Promise.all([watch(bob), watch(carol)]);
    await call(bob, "unsubscribe", 1);
    await mine.cut();
    await dead(url);
    await other.pictures();
    await refused(call(bob, "unsubscribe", 1), 3009);
    const back = await watch(bob);
    await Promise.all([back, other, pusher].map((each) => each.kill()));
    await leave(alice, bob, carol);
  });

  test("leave ends what was published and what was subscribed", async () => {
    const { alice, members: [bob, carol], pusher } = await meeting("leave", 2, 3);
    const [mine, other] = await Promise.all([watch(bob), watch(carol)]);
    await call(bob, "leave");
    await mine.cut();
    await other.pictures();
    await refused(call(bob, "subscribe", 1), 2003);
    await refused(call(bob, "leave"), 2003);
    await call(alice, "leave");
    assert.deepEqual(await carol.heard("stream-removed 1"), []);
    await Promise.all([other.cut(), pusher.over]);
    assert.equal(await call(bob, "join", undefined, "leave", 2), 2, "and may come again");
    await leave(alice, bob, carol);
  });

  test("on listens, off stops one listener or all of an event", async () => {
    const { alice, members: [bob], pusher } = await meeting("events", 2);
    const heard = [];
    const one = ({ uid }) => heard.push(`one ${uid}`);
    const two = ({ uid }) => {
      heard.push(`two ${uid}`);
      bob.changed();
    };
    bob.client.on("mute-audio", one);
    bob.client.on("mute-audio", two);
    await call(alice, "muteLocal", "audio");
    await bob.until("both", () => heard.length === 2);
    bob.client.off("mute-audio", one);
    await call(alice, "unmuteLocal", "audio");
    await call(alice, "muteLocal", "audio");
    await call(alice, "unmuteLocal", "audio");
    await bob.until("unmuted twice", () => bob.events.filter((event) => event === "unmute-audio 1").length === 2);
    bob.client.off("mute-audio");
    await call(alice, "muteLocal", "audio");
    await call(alice, "muteLocal", "video");
    await bob.heard("mute-video 1");
    assert.deepEqual(heard, ["one 1", "two 1", "two 1"]);
    await pusher.kill();
    await leave(alice, bob);
  });

  test("destroy leaves first, and init begins anew", async () => {
    const { alice, members: [bob], pusher } = await meeting("destroy", 2);
    await call(alice, "destroy");
    assert.deepEqual(await bob.heard("stream-removed 1"), []);
    await pusher.over;
    await refused(call(alice, "publish", "all"), 3010);
    await call(alice, "init", "live");
    assert.equal(await call(alice, "join", undefined, "destroy", 1), 1);
    await leave(alice, bob);
  });

  test("a member that the operator kicks is out, and its media with it", async () => {
    const { alice, members: [bob], pusher } = await meeting("kick", 2);
    const player = await watch(bob);
    await node.api("/channels/live/kick/members/1/kick", "POST");
    await alice.state("DISCONNECTED");
    assert.deepEqual(await bob.heard("stream-removed 1"), []);
    await Promise.all([player.cut(), pusher.over]);
    await leave(alice, bob);
  });

  test("what components say of themselves is what the API shows of their member", async () => {
    const { alice, members: [bob] } = await meeting("reports", 2);
    await call(bob, "subscribe", 1);
    alice.client.updatePusherNetStatus({ detail: { info: { videoFPS: 15, videoBitrate: 400 } } });
    bob.client.updatePlayerStateChange(1, { detail: { code: 2007, message: "loading" } });
    bob.client.updatePlayerStateChange(1, { detail: { code: 2004, message: "playing" } });
    bob.client.updatePlayerNetStatus(1, { detail: { info: { videoFPS: 14.5, videoCache: 300 } } });
    const reported = async () => {
      const { items } = await node.api("/channels/live/reports/members");
      const [one, two] = ["1", "2"].map((uid) => items.find((member) => member.uid === uid));
      return [one.publication?.reported, two.subscriptions[0]?.reported];
    };
    const end = Date.now() + PATIENCE;
    let [pusher, player] = await reported();
    while (!(pusher && player) && Date.now() < end) [pusher, player] = await reported();
    assert.deepEqual(pusher.net, { videoFPS: 15, videoBitrate: 400 });
    assert.deepEqual(player.net, { videoFPS: 14.5, videoCache: 300 });
    assert.deepEqual([player.code, player.message, player.stalls], [2004, "playing", 1]);
    await leave(alice, bob);
  });
});
