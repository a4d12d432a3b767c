// Each method of the seed, by callbacks and by promises, over real sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve, until } from "./fake/server.mjs";

/** Calls a method with callbacks; resolves with what `onSuccess` got. */
function called(client, method, ...args) {
  return new Promise((resolve, reject) => {
    const returned = client[method](...args, (...got) => resolve(got), reject);
    assert.equal(returned, undefined, `${method} with callbacks returns nothing`);
  });
}

async function joined(t, uid = 7) {
  const { node, newClient } = await serve(t);
  const { client, heard } = newClient();
  await client.join(undefined, "room", uid);
  t.after(() => assert.deepEqual(node.faults, []));
  return { node, client, heard };
}

test("a whole call by callbacks, as existing apps write it", async (t) => {
  const { node, newClient } = await serve(t);
  const { client } = newClient();
  assert.deepEqual(await called(client, "init", "app"), [undefined]);
  assert.deepEqual(await called(client, "join", undefined, "123456", 42), [42]);
  assert.deepEqual(await called(client, "publish", "all"), ["rtmp://node/app/push-1-42"]);
  assert.deepEqual(await called(client, "publish"), ["rtmp://node/app/push-1-42"]);
  node.tell("StreamAdded", { ChanId: "123456", UserId: "8" });
  assert.deepEqual(await called(client, "subscribe", 8), ["rtmp://node/app/pull-1-8", 0]);
  await called(client, "mute", 8, "all");
  await called(client, "unmute", 8, "all");
  await called(client, "muteLocal", "all");
  await called(client, "unmuteLocal", "all");
  await called(client, "unsubscribe", 8);
  await called(client, "unpublish");
  await called(client, "setRole", "audience");
  await called(client, "renewToken", "t2");
  await called(client, "leave");
  await called(client, "destroy");
  assert.deepEqual(node.cmds(), [
    "Login", "KeepAlive", "Publish", "Publish", "Subscribe", "MuteRemoteStream", "MuteRemoteStream",
    "MuteLocalStream", "MuteLocalStream", "UnSubscribe", "UnPublish", "SetRole", "RenewToken", "Logout",
  ]);
  assert.deepEqual(node.faults, []);
});

test("a whole call by promises", async (t) => {
  const { node, client } = await joined(t, "alice");
  assert.equal(await client.publish(), "rtmp://node/app/push-1-alice");
  assert.deepEqual(await client.subscribe("bob"), { url: "rtmp://node/app/pull-1-bob", rotation: 0 });
  assert.equal(await client.mute("bob", "audio"), undefined);
  await client.unmute("bob", "audio");
  await client.muteLocal("video");
  await client.unmuteLocal("video");
  await client.unsubscribe("bob");
  await client.unpublish();
  await client.setRole("broadcaster");
  await client.leave();
  await client.destroy();
  assert.equal(node.members.size, 0);
});

test("the gateway and Login are told what the protocol says", async (t) => {
  const { node, newClient } = await serve(t);
  const { client } = newClient();
  assert.equal(await client.join("secret", "a ?#&%", "alice"), "alice");
  const [asked] = node.gatewayAsked;
  const { sid } = asked;
  assert.deepEqual(asked, {
    sid, appId: "app", cname: "a ?#&%", uid: "alice", token: "secret", extend: "", wss: false,
  });
  assert.deepEqual(node.last("Login"), {
    ChanId: "a ?#&%", ChanSId: "gw-1", UserId: "alice", UserSId: sid, SdkVer: "0.1.0", SessionId: "",
    AcsToken: "secret", Caps: ["token-events", "reports", "update-url", "video-rotation"],
  });
  assert.equal(node.sessions[0].url, "/");
  await client.leave();
  await client.join("secret", "room", "alice");
  assert.notEqual(node.gatewayAsked[1].sid, sid);
  assert.deepEqual(node.faults, []);
});

for (const [given, wire, back] of [
  [7, "7", 7],
  ["7", "7", "7"],
  [4294967295, "4294967295", 4294967295],
  ["alice1", "alice1", "alice1"],
  [undefined, "", "9001"],
  [null, "", "9001"],
  [0, "", "9001"],
  ["", "", "9001"],
]) {
  test(`joining as ${JSON.stringify(given)} gives ${JSON.stringify(back)} back`, async (t) => {
    const { node, newClient } = await serve(t);
    const { client } = newClient();
    assert.equal(await client.join("", "room", given), back);
    assert.equal(node.gatewayAsked[0].uid, wire);
    assert.equal(node.last("Login").UserId, wire);
    assert.equal(node.last("Login").AcsToken, "");
  });
}

test("other users come as numbers to a number, as text to text, and always as they were given", async (t) => {
  for (const [own, expected] of [[7, [8, "bob", "9"]], ["alice", ["8", "bob", "9"]]]) {
    const { node, client, heard } = await joined(t, own);
    await client.subscribe("9");
    for (const uid of ["8", "bob", "9"]) node.tell("StreamAdded", { ChanId: "room", UserId: uid });
    await until(() => heard.events.length === 3);
    assert.deepEqual(heard.events.map(([, { uid }]) => uid), expected);
  }
});

test("publishing one kind says so, publishing all says nothing", async (t) => {
  const { node, client } = await joined(t);
  for (const [target, content] of [["all", ""], ["audio", { Target: "audio" }], ["video", { Target: "video" }]]) {
    await client.publish(target);
    assert.deepEqual(node.last("Publish"), content);
  }
});

test("mutes carry the whole state", async (t) => {
  const { node, client } = await joined(t);
  await client.subscribe(8);
  const remote = async (method, target, audio, video) => {
    await client[method](8, target);
    await client.setRole("broadcaster");
    assert.deepEqual(node.last("MuteRemoteStream"), { UserId: "8", MuteAudio: audio, MuteVideo: video });
  };
  await remote("mute", "audio", true, false);
  await remote("mute", "video", true, true);
  await remote("unmute", "audio", false, true);
  await remote("unmute", "all", false, false);
  const local = async (method, target, audio, video) => {
    await client[method](target);
    await client.setRole("broadcaster");
    assert.deepEqual(node.last("MuteLocalStream"), { UserId: "7", MuteAudio: audio, MuteVideo: video });
  };
  await local("muteLocal", "video", false, true);
  await local("muteLocal", "audio", true, true);
  await local("unmuteLocal", "all", false, false);
});

test("a role set before join is told right after Login", async (t) => {
  const { node, newClient } = await serve(t);
  const { client } = newClient();
  await client.setRole("audience");
  await client.join("", "room", 7);
  await client.subscribe(8);
  assert.deepEqual(node.cmds(), ["Login", "KeepAlive", "SetRole", "Subscribe"]);
  assert.deepEqual(node.last("SetRole"), { Role: "Audience" });
  await client.setRole("broadcaster");
  assert.deepEqual(node.last("SetRole"), { Role: "Host" });
  await client.publish();
});

test("a broadcaster's role need not be told", async (t) => {
  const { node } = await joined(t);
  assert.ok(!node.cmds().includes("SetRole"));
});

test("calls need not wait for one another", async (t) => {
  const { node, client } = await joined(t);
  const all = [
    client.setRole("audience"), client.setRole("broadcaster"), client.publish(), client.unpublish(),
    client.publish("audio"), client.subscribe(8), client.mute(8, "audio"), client.unsubscribe(8),
  ];
  await Promise.all(all);
  assert.deepEqual(node.cmds().slice(2), [
    "SetRole", "SetRole", "Publish", "UnPublish", "Publish", "Subscribe", "MuteRemoteStream", "UnSubscribe",
  ]);
});

test("answers go to the calls they belong to, whatever the uid and the code", async (t) => {
  const { node, client } = await joined(t);
  node.answers.set("Subscribe", [{ Code: 2005, UserId: "1" }, { Code: 0, UserId: "2", PullUrl: "u2" }]);
  const results = await Promise.allSettled([client.subscribe(1), client.subscribe(2), client.subscribe(3)]);
  assert.equal(results[0].reason.code, 2005);
  assert.equal(results[1].value.url, "u2");
  assert.equal(results[2].value.url, "rtmp://node/app/pull-1-3");
});

test("an answer out of line is matched by its user", async (t) => {
  const { node, client } = await joined(t);
  node.silent.add("Subscribe");
  const one = client.subscribe(1);
  const two = client.subscribe(2);
  await until(() => node.cmds().filter((cmd) => cmd === "Subscribe").length === 2);
  node.tell("Subscribe", { Code: 0, UserId: "2", PullUrl: "u2", Rotation: 90 });
  node.tell("Subscribe", { Code: 0, UserId: 1, PullUrl: "u1" });
  assert.deepEqual(await two, { url: "u2", rotation: 90 });
  assert.deepEqual(await one, { url: "u1", rotation: 0 });
});

test("destroy leaves first, and hears nothing more; init starts anew", async (t) => {
  const { node, client, heard } = await joined(t);
  await client.destroy();
  assert.equal(node.cmds().pop(), "Logout");
  assert.equal(node.members.size, 0);
  await assert.rejects(client.destroy(), { code: 3010 });
  const before = heard.states.length;
  await client.init("app");
  await client.join("", "room", 7);
  assert.equal(heard.states.length, before);
});

test("leave says so, closes, and lets join again", async (t) => {
  const { node, client, heard } = await joined(t);
  await client.leave();
  assert.deepEqual(heard.states.map(([state, , reason]) => [state, reason]), [
    ["CONNECTING", undefined], ["CONNECTED", undefined], ["DISCONNECTING", "LEAVE"], ["DISCONNECTED", "LEAVE"],
  ]);
  await until(() => node.sessions.length === 0);
  assert.equal(await client.join("", "room", 7), 7);
});

test("rejoin with a new client subscribes again and tells the URLs", async (t) => {
  const { node, newClient } = await serve(t);
  const { client, heard } = newClient();
  assert.equal(await client.rejoin("", "room", 7, [8, "bob"]), 7);
  await until(() => heard.events.length === 2);
  assert.deepEqual(heard.events, [
    ["update-url", { uid: 8, url: "rtmp://node/app/pull-1-8" }],
    ["update-url", { uid: "bob", url: "rtmp://node/app/pull-1-bob" }],
  ]);
  node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
  node.tell("StreamAdded", { ChanId: "room", UserId: "9" });
  await until(() => heard.events.length === 3);
  assert.deepEqual(heard.events[2], ["stream-added", { uid: 9 }]);
  await client.publish();
  assert.deepEqual(node.faults, []);
});

test("rejoin of a joined client goes on with the same session", async (t) => {
  const { node, client, heard } = await joined(t);
  await client.publish("audio");
  await client.subscribe(8);
  await client.mute(8, "video");
  assert.equal(await client.rejoin("t2", "room", 7, [8]), 7);
  assert.equal(node.gatewayAsked[1].sid, node.gatewayAsked[0].sid);
  assert.equal(node.last("Login").AcsToken, "t2");
  await until(() => heard.events.length === 1);
  assert.deepEqual(heard.events, [["update-url", { uid: 8, url: "rtmp://node/app/pull-1-8" }]]);
  assert.deepEqual(node.cmds().slice(-4), ["KeepAlive", "Publish", "MuteRemoteStream", "Subscribe"]);
  assert.deepEqual(node.last("Publish"), { Target: "audio" });
});

test("a new token is told, and used from then on", async (t) => {
  const { node, client } = await joined(t);
  await client.renewToken("t2");
  assert.deepEqual(node.last("RenewToken"), { AcsToken: "t2" });
  await assert.rejects(client.renewToken("bad"), { code: 110 });
  node.session("7").break(1006, "");
  await until(() => node.gatewayAsked.length === 2);
  assert.equal(node.gatewayAsked[1].token, "t2");
});

test("URLs are asked for in the form that was set, and in none otherwise", async (t) => {
  const { node, newClient } = await serve(t);
  const { client } = newClient();
  await client.join(undefined, "room", 7);
  await client.subscribe(8);
  assert.deepEqual(node.last("Subscribe"), { UserId: "8", ChanId: "room" });
  await client.publish();
  assert.equal(node.last("Publish"), "");
  await client.leave();
  await client.setParameters({ pullForm: "http-flv" });
  await client.setParameters({ pushForm: "whip" });
  await client.join(undefined, "room", 7);
  await client.subscribe(8);
  assert.deepEqual(node.last("Subscribe"), { UserId: "8", ChanId: "room", Form: "http-flv" });
  await client.publish();
  assert.deepEqual(node.last("Publish"), { Form: "whip" });
  await client.publish("audio");
  assert.deepEqual(node.last("Publish"), { Target: "audio", Form: "whip" });
  assert.deepEqual(node.faults, []);
});
