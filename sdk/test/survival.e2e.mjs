// What lives through a break, and what the SDK brings back: the WebSocket, the pusher, the player and the
// node are killed, each in turn, while a picture and sound are on their way.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Player, Pusher, probe, stopMedia } from "./e2e/media.mjs";
import { Member, leaveAll } from "./e2e/member.mjs";
import { Node } from "./e2e/node.mjs";

const start = () => Node.start("apps=[{name=\"live\", access=\"open\"}]");
let node;
before(async () => {
  node = await start();
});
after(async () => {
  await Promise.all([leaveAll(), stopMedia()]);
  await node?.kill();
});

/** Alice publishes; bob watches, and has the sound muted or not. */
async function scene(on, channel, muted) {
  const [alice, bob] = await Promise.all([Member.join(on, channel, 1), Member.join(on, channel, 2)]);
  const pushUrl = await alice.client.publish("all");
  const pusher = new Pusher(pushUrl);
  await bob.heard("stream-added 1");
  const { url: pullUrl } = await bob.client.subscribe(1);
  const player = new Player(pullUrl);
  await player.pictures(2);
  await player.until("sound", () => player.loud);
  if (muted) {
    await bob.client.mute(1, "audio");
    await player.until("silence", () => player.silent);
  }
  return { alice, bob, pushUrl, pusher, pullUrl, player };
}

const leave = (...members) => Promise.all(members.map(({ client }) => client.destroy()));

describe("what should survive does", { concurrency: 3 }, () => {
  test("a WebSocket is killed: media goes on, and the session is resumed without a word", async () => {
    const { alice, bob, pushUrl, pusher, pullUrl, player } = await scene(node, "socket", true);
    alice.cut();
    bob.cut();
    await Promise.all([alice.state("RECONNECTING"), bob.state("RECONNECTING")]);
    await player.pictures(2);
    await Promise.all([alice.state("CONNECTED", 2), bob.state("CONNECTED", 2)]);
    await player.pictures();
    assert.ok(player.silent, `what was muted is: ${player.describe()}`);
    assert.equal(player.ended, false);
    assert.equal(await alice.client.publish("all"), pushUrl);
    assert.equal((await bob.client.subscribe(1)).url, pullUrl);
    // What comes after it has come through the new connections, and nothing came before it.
    await alice.client.muteLocal("video");
    assert.deepEqual(await bob.heard("mute-video 1"), []);
    await player.blind();
    await alice.client.unmuteLocal("video");
    await bob.client.unmute(1, "audio");
    await player.pictures();
    await player.until("sound", () => player.loud);
    assert.deepEqual(alice.events, []);
    await Promise.all([player.kill(), pusher.kill()]);
    await leave(alice, bob);
  });

  test("a WebSocket that breaks while it is asked: the answer comes by the next one", async () => {
    const { alice, bob, pusher, player } = await scene(node, "asked", false);
    alice.cut();
    const [url] = await Promise.all([alice.client.publish("all"), alice.client.muteLocal("audio")]);
    await bob.heard("mute-audio 1");
    await player.until("silence", () => player.silent);
    await new Pusher(url).kill();
    await Promise.all([player.kill(), pusher.kill()]);
    await leave(alice, bob);
  });

  test("a pusher is killed: its URL takes the next one, and players go on", async () => {
    const { alice, bob, pushUrl, pusher, player } = await scene(node, "pusher", true);
    await pusher.kill();
    const again = new Pusher(pushUrl);
    await player.pictures(30);
    assert.equal(player.ended, false);
    assert.ok(player.silent, player.describe());
    await bob.client.unmute(1, "audio");
    await player.until("sound", () => player.loud);
    assert.deepEqual([...alice.events, ...bob.events], [], "nobody is told of it");
    await Promise.all([player.kill(), again.kill()]);
    await leave(alice, bob);
  });

  test("a player is killed: its URL plays again, muted as it was", async () => {
    const { alice, bob, pusher, pullUrl, player } = await scene(node, "player", true);
    await player.kill();
    const again = new Player(pullUrl);
    await again.pictures();
    await again.sound(0.5);
    assert.ok(again.silent, again.describe());
    await bob.client.unmute(1, "audio");
    await again.until("sound", () => again.loud);
    assert.deepEqual([...alice.events, ...bob.events], []);
    await Promise.all([again.kill(), pusher.kill()]);
    await leave(alice, bob);
  });

  for (const signal of ["SIGKILL", "SIGTERM"]) {
    test(`the node ends by ${signal} and starts again: the SDK brings everything back`, async () => {
      const own = await start();
      try {
        const { alice, bob, pushUrl, pusher, pullUrl, player } = await scene(own, "node", true);
        const carol = new Member(own.http);
        await carol.client.setRole("audience");
        await carol.client.join(undefined, "node", 3);
        await carol.heard("stream-added 1");
        await alice.client.muteLocal("video");
        await bob.heard("mute-video 1");
        const everyone = [alice, bob, carol];

        await own.kill(signal);
        await Promise.all([...everyone.map((each) => each.state("RECONNECTING")), pusher.over, player.cut()]);
        await own.again();
        await Promise.all(everyone.map((each) => each.state("CONNECTED", 2)));

        await alice.heard("update-url 1");
        assert.notEqual(alice.urls.at(-1), pushUrl);
        const second = new Pusher(alice.urls.at(-1));
        await bob.heard("update-url 1");
        assert.notEqual(bob.urls.at(-1), pullUrl);
        await assert.rejects(probe(pullUrl), "the URL of a node that is gone is dead");
        // Alice had muted her pictures, bob her sound: both still hold.
        await alice.client.unmuteLocal("video");
        const watching = new Player(bob.urls.at(-1));
        await watching.pictures();
        await watching.sound(0.5);
        assert.ok(watching.silent, watching.describe());
        await bob.client.unmute(1, "audio");
        await watching.until("sound", () => watching.loud);
        await assert.rejects(carol.client.publish("all"), { code: 2004 });
        await carol.client.setRole("broadcaster");
        await carol.client.publish("all");
        assert.ok(!everyone.some(({ events }) => events.some((event) => /removed|added/.test(event))));
        await Promise.all([watching.kill(), second.kill()]);
        await leave(...everyone);
      } finally {
        await own.kill();
      }
    });
  }
});
