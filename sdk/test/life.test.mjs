// A phone's life and a node's: what breaks comes back, with all that stood.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { actor, pass, settled, stage } from "./fake/memory.mjs";

async function joined(t, uid = 7) {
  const scene = stage(t);
  await scene.client.join("", "room", uid);
  await settled();
  t.after(() => assert.deepEqual(scene.node.faults, []));
  return scene;
}

const of = (uid, rest) => ({ ChanId: "room", UserId: uid, ...rest });
const since = (node, from) => node.received.slice(from).map(({ cmd, content }) => [cmd, content]);

// The gateway.

for (const code of [13, 14, 15, 16, 101, 102, 109, 110, 2002]) {
  test(`the gateway's ${code} ends the join with that code`, async (t) => {
    const { node, client, transport, heard } = stage(t);
    node.gatewayReply = { code, msg: "no" };
    await assert.rejects(client.join("", "room", 7), { code });
    assert.equal(heard.states.pop()[0], "DISCONNECTED");
    assert.deepEqual(heard.events, [], "onFailure is enough");
    await pass(10_000);
    assert.equal(transport.posts.length, 1);
  });

  test(`Login's ${code} ends the join with that code`, async (t) => {
    const { node, client } = stage(t);
    node.loginReply = { Code: code };
    await assert.rejects(client.join("", "room", 7), { code });
    await pass(10_000);
    assert.equal(node.gatewayAsked.length, 1);
  });
}

for (const [what, reply] of [
  ["another code", { code: 2001, msg: "" }],
  ["a code nobody knows", { code: 99999 }],
  ["no HTTP answer", "no answer"],
  ["a page of a proxy", "<html>502</html>"],
  ["JSON that is no answer", {}],
]) {
  test(`${what} of the gateway: the same request again in 2 s, for ever`, async (t) => {
    const { node, client, transport } = stage(t);
    node.gatewayReply = reply;
    const join = client.join("", "room", 7);
    await pass(60_000);
    const { posts } = transport;
    assert.ok(posts.length >= 23 && posts.length <= 31, `${posts.length} requests in a minute`);
    for (let at = 1; at < posts.length; at += 1) {
      const gap = posts[at].at - posts[at - 1].at;
      assert.ok(gap >= 2000 && gap <= 2600, `${gap} ms`);
    }
    assert.equal(new Set(node.gatewayAsked.map((body) => JSON.stringify(body))).size, 1);
    node.gatewayReply = undefined;
    await pass(3_000);
    assert.equal(await join, 7);
  });
}

test("a gateway without an address of type 0 fails the join", async (t) => {
  const { node, client } = stage(t);
  node.addresses = [{ type: 1, addr: "node.test", port: 80 }];
  await assert.rejects(client.join("", "room", 7), { code: 3004 });
  node.gatewayReply = { code: 0, msg: "", session_id: "" };
  await assert.rejects(client.join("", "room", 7), { code: 3004 });
});

for (const [server, address, post, socket] of [
  [{ ServerAdd: "a.test", Port: 8080, Wss: false }, ["b.test", 81], "http://a.test:8080", "ws://b.test:81/"],
  [{ ServerAdd: "a.test", Port: 80 }, ["b.test", 80], "http://a.test:80", "ws://b.test/"],
  [{ ServerAdd: "a.test" }, ["b.test", 80], "http://a.test", "ws://b.test/"],
  [{ ServerAdd: "a.test", Port: 8080, Wss: true }, ["b.test", 443], "https://a.test", "wss://b.test/"],
  [{ ServerAdd: "a.test", Wss: true }, ["b.test", 8443], "https://a.test", "wss://b.test:8443/"],
  [{ ServerAdd: "a.test", Port: "8080" }, ["::1", 81], "http://a.test:8080", "ws://[::1]:81/"],
  [{ ServerAdd: "::1", Port: 8080 }, ["[::1]", 81], "http://[::1]:8080", "ws://[::1]:81/"],
]) {
  test(`${JSON.stringify(server)} and ${address.join(":")} lead to ${post} and ${socket}`, async (t) => {
    const { node, client, transport } = stage(t);
    node.addresses = [{ type: 0, addr: address[0], port: address[1] }];
    client.setParameters({ ConfPriCloudAddr: server });
    await client.join("", "room", 7);
    assert.equal(transport.posts[0].url, `${post}/arapi/v1?action=wapp_gateway`);
    assert.equal(transport.sockets[0].url, socket);
    assert.equal(node.gatewayAsked[0].wss, server.Wss === true);
  });
}

test("an address that does not answer is passed over for the next", async (t) => {
  const { node, client, transport } = stage(t);
  node.addresses = [{ type: 0, addr: "one.test", port: 80 }, { type: 0, addr: "two.test", port: 80 }];
  transport.refuse = true;
  const join = client.join("", "room", 7);
  await settled();
  transport.refuse = false;
  await pass(1_000);
  assert.equal(await join, 7);
  assert.deepEqual(transport.sockets.map(({ url }) => url), ["ws://one.test/", "ws://two.test/"]);
});

test("a WebSocket that fails is tried again with back-off and jitter", async (t) => {
  const { client, transport } = stage(t);
  transport.refuse = true;
  const chances = [];
  mock.method(Math, "random", () => chances.push(0) && 0.5);
  t.after(() => mock.restoreAll());
  client.join("", "room", 7).catch(() => {});
  await pass(60_000);
  const gaps = transport.sockets.slice(1).map(({ at }, index) => at - transport.sockets[index].at);
  assert.deepEqual(gaps.slice(0, 7), [400, 800, 1500, 3000, 6000, 6000, 6000]);
  assert.ok(chances.length > 5);
});

test("a Login that is not answered is given up after 10 s, and tried again", async (t) => {
  const { node, client } = stage(t);
  node.silent.add("Login");
  const join = client.join("", "room", 7);
  await pass(9_000);
  assert.equal(node.gatewayAsked.length, 1);
  node.silent.clear();
  await pass(2_000);
  assert.equal(await join, 7);
});

test("a Login that is told to try again does", async (t) => {
  const { node, client } = stage(t);
  node.loginReply = { Code: 2001 };
  const join = client.join("", "room", 7);
  await pass(1_000);
  node.loginReply = undefined;
  await pass(5_000);
  assert.equal(await join, 7);
});

// Signs of life.

test("a sign of life goes out at once and then every 10 s", async (t) => {
  const { node } = await joined(t);
  const alive = () => node.cmds().filter((cmd) => cmd === "KeepAlive").length;
  assert.equal(alive(), 1);
  await pass(9_900);
  assert.equal(alive(), 1);
  await pass(100);
  assert.equal(alive(), 2);
  await pass(40_000);
  assert.equal(alive(), 6);
  assert.equal(node.last("KeepAlive").time, String(Date.now()));
});

test("30 s without an answer to it break the connection, with NETWORK_ERROR", async (t) => {
  const { node, heard } = await joined(t);
  await pass(5_000);
  node.silent.add("KeepAlive");
  const [session] = node.sessions;
  await pass(24_900);
  assert.equal(session.closeCode, undefined);
  await pass(100);
  assert.deepEqual([session.closeCode, session.closeReason], [1000, "NETWORK_ERROR"]);
  assert.deepEqual(heard.states.pop(), ["RECONNECTING", "CONNECTED", "NETWORK_ERROR"]);
  node.silent.clear();
  await pass(1_000);
  assert.equal(heard.states.pop()[0], "CONNECTED");
});

// Coming back.

async function busy(t) {
  const scene = await joined(t);
  const { node, client } = scene;
  for (const uid of ["8", "9", "10"]) node.tell("StreamAdded", of(uid));
  await client.publish("audio");
  await client.subscribe(8);
  await client.subscribe("9");
  await client.mute(8, "video");
  await client.mute(10, "audio");
  await client.muteLocal("video");
  scene.heard.events.splice(0);
  return scene;
}

const RESTORED = [
  ["MuteLocalStream", { UserId: "7", MuteAudio: false, MuteVideo: true }],
  ["Publish", { Target: "audio" }],
  ["MuteRemoteStream", { UserId: "8", MuteAudio: false, MuteVideo: true }],
  ["Subscribe", { UserId: "8", ChanId: "room" }],
  ["Subscribe", { UserId: "9", ChanId: "room" }],
  ["MuteRemoteStream", { UserId: "10", MuteAudio: true, MuteVideo: false }],
];

test("a broken WebSocket is resumed by the same session, and nothing changes for the app", async (t) => {
  const { node, heard } = await busy(t);
  const from = node.received.length;
  node.session("7").break(1006, "");
  await pass(1_000);
  const [login, alive, ...rest] = since(node, from);
  assert.deepEqual([login[0], alive[0]], ["Login", "KeepAlive"]);
  assert.equal(login[1].UserSId, node.gatewayAsked[0].sid);
  assert.equal(login[1].UserId, "7");
  assert.deepEqual(rest, RESTORED);
  assert.ok(node.session("7").resumed);
  await pass(60_000);
  assert.deepEqual(heard.events, []);
});

test("a node that restarts is told everything again, and URLs that changed are told to the app", async (t) => {
  const { node, transport, heard } = await busy(t);
  transport.offline = true;
  const from = node.received.length;
  node.restart();
  await pass(20_000);
  assert.equal(heard.states.pop()[0], "RECONNECTING");
  transport.offline = false;
  await pass(3_000);
  assert.deepEqual(since(node, from).slice(2), RESTORED);
  assert.deepEqual(heard.events, [
    ["update-url", { uid: 7, url: "rtmp://node/app/push-2-7" }],
    ["update-url", { uid: 8, url: "rtmp://node/app/pull-2-8" }],
    ["update-url", { uid: "9", url: "rtmp://node/app/pull-2-9" }],
  ]);
});

test("after a restart who is not told of again is gone, and who is is not added twice", async (t) => {
  const { node, heard } = await busy(t);
  node.tell("StreamAdded", of("11"));
  await settled();
  heard.events.splice(0);
  node.restart();
  node.answers.set("Subscribe", [{ Code: 2005, UserId: "8" }, { Code: 2005, UserId: "9" }]);
  await pass(1_000);
  heard.events.splice(0);
  node.tell("StreamAdded", of("8"));
  node.tell("StreamAdded", of("11"));
  await pass(1_000);
  assert.deepEqual(heard.events, [["update-url", { uid: 8, url: "rtmp://node/app/pull-2-8" }]]);
  await pass(40_000);
  const removed = heard.events.slice(1).map(([name, { uid }]) => [name, uid]);
  assert.deepEqual(removed.sort(), [["stream-removed", "9"], ["stream-removed", 10]].sort());
});

test("what was muted before a restart and is no more is told", async (t) => {
  const { node, heard } = await joined(t);
  node.tell("StreamAdded", of("8"));
  node.tell("UserAudStatus", of("8", { Audio: false }));
  node.tell("UserVidStatus", of("8", { Video: false }));
  await settled();
  heard.events.splice(0);
  node.restart();
  await pass(1_000);
  node.tell("StreamAdded", of("8"));
  node.tell("UserVidStatus", of("8", { Video: false }));
  await pass(2_000);
  assert.deepEqual(heard.events, [["unmute-audio", { uid: 8 }]]);
});

test("an audience comes back as one", async (t) => {
  const { node, client } = await joined(t);
  await client.publish();
  await client.setRole("audience");
  const from = node.received.length;
  node.session("7").break(1006, "");
  await pass(1_000);
  assert.deepEqual(since(node, from).slice(2), [["SetRole", { Role: "Audience" }]]);
});

test("a uid that the node picked is kept", async (t) => {
  const { node, client } = stage(t);
  assert.equal(await client.join("", "room"), "9001");
  node.session("9001").break(1006, "");
  await pass(1_000);
  assert.equal(node.last("Login").UserId, "9001");
  assert.equal(node.gatewayAsked[1].uid, "9001");
});

test("what is called in a tunnel is done after it, in order", async (t) => {
  const { node, client, transport } = await joined(t);
  node.tell("StreamAdded", of("8"));
  await settled();
  transport.offline = true;
  await pass(35_000);
  const from = node.received.length;
  const calls = [
    client.publish(), client.muteLocal("audio"), client.subscribe(8), client.mute(8, "video"),
    client.unpublish(), client.setRole("audience"),
  ];
  await pass(30_000);
  transport.offline = false;
  await pass(3_000);
  const results = await Promise.all(calls);
  assert.equal(results[0], "rtmp://node/app/push-1-7");
  assert.equal(results[2].url, "rtmp://node/app/pull-1-8");
  const cmds = since(node, from).map(([cmd]) => cmd).filter((cmd) => cmd !== "KeepAlive");
  assert.deepEqual(cmds.slice(0, 2), ["Login", "SetRole"]);
  assert.deepEqual(cmds.slice(-4), ["Publish", "Subscribe", "UnPublish", "SetRole"]);
});

test("a request on its way when the connection breaks is answered by the next", async (t) => {
  const { node, client } = await joined(t);
  node.silent.add("Publish");
  node.silent.add("Subscribe");
  const publish = client.publish();
  const subscribe = client.subscribe(8);
  await settled();
  node.silent.clear();
  node.session("7").break(1006, "");
  await pass(1_000);
  assert.equal(await publish, "rtmp://node/app/push-1-7");
  assert.deepEqual(await subscribe, { url: "rtmp://node/app/pull-1-8", rotation: 0 });
});

test("a request that is not answered fails after 10 s, and a late answer is not another's", async (t) => {
  const { node, client } = await joined(t);
  node.silent.add("Publish");
  const late = assert.rejects(client.publish(), { code: 3006 });
  await pass(10_000);
  await late;
  const publish = client.publish("video");
  await settled();
  node.tell("Publish", { Code: 0, PushUrl: "late" });
  node.tell("Publish", { Code: 0, PushUrl: "right" });
  assert.equal(await publish, "right");
});

test("what the node does not take back after a break is told as an error", async (t) => {
  const { node, heard, client } = await busy(t);
  node.answers.set("Publish", [{ Code: 2009 }]);
  node.answers.set("Subscribe", [{ Code: 2007, UserId: "8" }]);
  node.session("7").break(1006, "");
  await pass(1_000);
  assert.deepEqual(heard.events.map(([name, error]) => [name, error.code]), [["error", 2009], ["error", 2007]]);
  await assert.rejects(client.unpublish(), { code: 3008 });
  await assert.rejects(client.unsubscribe(8), { code: 3009 });
});

test("a ban while it reconnects ends it", async (t) => {
  const { node, heard, client } = await busy(t);
  node.gatewayReply = { code: 15 };
  node.session("7").break(1006, "");
  const pending = assert.rejects(client.publish(), { code: 15 });
  await pass(1_000);
  await pending;
  assert.deepEqual(heard.states.pop(), ["DISCONNECTED", "RECONNECTING", "IP_BANNED"]);
  assert.deepEqual(heard.events.map(([name, error]) => [name, error.code]), [["error", 15]]);
});

test("leaving while it reconnects is done at once", async (t) => {
  const { node, client, transport, heard } = await joined(t);
  transport.offline = true;
  node.session("7").break(1006, "");
  await pass(5_000);
  await client.leave();
  assert.equal(heard.states.pop()[0], "DISCONNECTED");
  const asked = transport.posts.length;
  await pass(10_000);
  assert.equal(transport.posts.length, asked);
});

test("a Logout that is not answered holds nobody up for long", async (t) => {
  const { node, client } = await joined(t);
  node.silent.add("Logout");
  let left = false;
  client.leave().then(() => (left = true));
  await pass(1_900);
  assert.equal(left, false);
  await pass(200);
  assert.equal(left, true);
});

test("leaving ends what waits for an answer", async (t) => {
  const { node, client } = await joined(t);
  node.silent.add("Publish");
  const publish = assert.rejects(client.publish(), { code: 3007 });
  await client.leave();
  await publish;
});

// The phone.

test("a network that comes back is used at once", async (t) => {
  const { node, transport, heard } = await joined(t);
  transport.offline = true;
  node.session("7").break(1006, "");
  await pass(20_000);
  transport.offline = false;
  const asked = transport.posts.length;
  transport.life.onNetwork(false);
  transport.life.onNetwork(true);
  await settled();
  assert.equal(transport.posts.length, asked + 1);
  assert.equal(heard.states.pop()[0], "CONNECTED");
});

test("a change of network puts the connection to the test, and keeps it when it holds", async (t) => {
  const { node, transport, heard } = await joined(t);
  const before = node.cmds().length;
  transport.life.onNetwork(true);
  await pass(9_000);
  assert.deepEqual(node.cmds().slice(before), ["KeepAlive"]);
  assert.equal(heard.states.length, 2);
});

test("a change of network that killed the connection is noticed in seconds", async (t) => {
  const { node, transport, heard } = await joined(t);
  node.silent.add("KeepAlive");
  transport.life.onNetwork(true);
  await pass(4_000);
  assert.deepEqual(heard.states.pop(), ["RECONNECTING", "CONNECTED", "NETWORK_ERROR"]);
});

test("back from a long sleep it reconnects at once", async (t) => {
  const { transport, heard, node } = await joined(t);
  transport.life.onVisible(false);
  // Timers sleep as well.
  mock.timers.setTime(Date.now() + 29_999);
  mock.timers.setTime(Date.now() + 1);
  node.silent.add("KeepAlive");
  transport.life.onVisible(true);
  await pass(5_000);
  node.silent.clear();
  await pass(5_000);
  assert.ok(heard.states.some(([state]) => state === "RECONNECTING"));
  assert.equal(heard.states.pop()[0], "CONNECTED");
});

test("a socket that the phone closes in the background comes back", async (t) => {
  const { node, transport, heard } = await joined(t);
  transport.life.onVisible(false);
  node.session("7").break(1000, "");
  await settled();
  assert.equal(heard.states.pop()[0], "RECONNECTING");
  transport.life.onVisible(true);
  await pass(1_000);
  assert.equal(heard.states.pop()[0], "CONNECTED");
});

test("who has left listens to the phone no more", async (t) => {
  const { client, transport } = await joined(t);
  await client.leave();
  assert.equal(transport.life, undefined);
});

test("many clients of a restarted node do not come back at the same moment", async (t) => {
  const { node, client } = stage(t);
  const others = Array.from({ length: 50 }, () => actor(node));
  await client.join("", "room", 1);
  await Promise.all(others.map((other, at) => other.client.join("", "room", at + 2)));
  for (const session of [...node.sessions]) session.break(1006, "");
  await settled();
  const moments = new Set();
  for (let left = 1_000; left > 0; left -= 10) {
    const before = node.gatewayAsked.length;
    mock.timers.tick(10);
    await settled();
    if (node.gatewayAsked.length > before) moments.add(left);
  }
  assert.ok(moments.size > 10, `${moments.size} moments`);
});
