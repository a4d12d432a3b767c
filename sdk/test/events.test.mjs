// What the node tells, as the app hears it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pass, plain, settled, stage } from "./fake/memory.mjs";

async function joined(t, uid = 7) {
  const scene = stage(t);
  await scene.client.join("", "room", uid);
  t.after(() => assert.deepEqual(scene.node.faults, []));
  return scene;
}

const of = (uid, rest) => ({ ChanId: "room", UserId: uid, ...rest });

for (const [cmd, content, event, args] of [
  ["StreamRemove", of("8"), "stream-removed", [{ uid: 8 }]],
  ["UserAudStatus", of("8", { Audio: false }), "mute-audio", [{ uid: 8 }]],
  ["UserAudStatus", of("8", { Audio: true }), "unmute-audio", [{ uid: 8 }]],
  ["UserVidStatus", of("8", { Video: false }), "mute-video", [{ uid: 8 }]],
  ["UserVidStatus", of("8", { Video: true }), "unmute-video", [{ uid: 8 }]],
  ["VideoRotation", of("8", { Rotation: 90 }), "video-rotation", [{ uid: 8, rotation: 90 }]],
  ["UpdateUrl", of("8", { Url: "rtmp://new" }), "update-url", [{ uid: 8, url: "rtmp://new" }]],
  ["TokenWillExpire", { ChanId: "room", Seconds: 30 }, "token-privilege-will-expire", []],
  ["TokenExpired", { ChanId: "room", Seconds: 0 }, "token-privilege-did-expire", []],
]) {
  test(`${cmd} ${JSON.stringify(content)} is ${event}`, async (t) => {
    const { node, client, heard } = await joined(t);
    node.tell("StreamAdded", of("8"));
    await settled();
    await client.subscribe(8);
    node.tell(cmd, content);
    await settled();
    assert.deepEqual(heard.events, [["stream-added", { uid: 8 }], [event, ...args]]);
  });
}

test("one's own push URL that changes is told", async (t) => {
  const { node, client, heard } = await joined(t);
  await client.publish();
  node.tell("UpdateUrl", of("7", { Url: "rtmp://new" }));
  await settled();
  assert.deepEqual(heard.events, [["update-url", { uid: 7, url: "rtmp://new" }]]);
});

test("statuses of users who were never announced are left out", async (t) => {
  const { node, heard } = await joined(t);
  node.tell("UserAudStatus", of("8", { Audio: false }));
  node.tell("StreamRemove", of("8"));
  node.tell("UpdateUrl", of("8", { Url: "rtmp://new" }));
  node.tell("VideoRotation", of("8", { Rotation: 90 }));
  await settled();
  assert.deepEqual(heard.events, []);
});

test("a stream is added once, and again after it was removed", async (t) => {
  const { node, heard } = await joined(t);
  node.tell("StreamAdded", of("8"));
  node.tell("StreamAdded", of("8"));
  node.tell("StreamRemove", of("8"));
  node.tell("StreamRemove", of("8"));
  node.tell("StreamAdded", of("8"));
  await settled();
  assert.deepEqual(heard.events.map(([name]) => name), ["stream-added", "stream-removed", "stream-added"]);
});

test("join succeeds before its streams are told, even when all comes at once", async (t) => {
  const { node, client } = stage(t);
  const order = [];
  client.on("stream-added", () => order.push("added"));
  client.join("", "room", 7, () => order.push("joined"));
  node.loginReply = function () {
    queueMicrotask(() => {});
    return undefined;
  };
  const accept = node.accept.bind(node);
  node.accept = (wire, url) => {
    const texts = [];
    const session = accept({ ...wire, send: (text) => texts.push(text) }, url);
    const { receive } = session;
    session.receive = (text) => {
      receive.call(session, text);
      session.send("StreamAdded", of("8"));
      // All in one go, as a socket hands out what arrived together.
      for (const each of texts.splice(0)) wire.send(each);
      session.receive = receive;
      session.wire = wire;
    };
    return session;
  };
  await settled();
  assert.deepEqual(order, ["joined", "added"]);
});

test("junk from the node is survived", async (t) => {
  const { node, client, heard } = await joined(t);
  const session = node.session("7");
  for (const text of [
    "", "junk", "null", "[]", "7", "{}", '{"Cmd":7,"Content":"{}"}', '{"Cmd":"StreamAdded","Content":"{"}',
    '{"Cmd":"StreamAdded","Content":""}', '{"Cmd":"Publish","Content":"{}"}', '{"Cmd":"New","Content":"{}"}',
    '{"Cmd":"StreamAdded","Content":"null"}', '{"Cmd":"Login","Content":"{}"}',
  ]) {
    session.raw(text);
  }
  await settled();
  assert.deepEqual(heard.events, []);
  assert.equal(await client.publish(), "rtmp://node/app/push-1-7");
});

test("the state of the connection comes with what it was before", async (t) => {
  const { client, heard } = await joined(t);
  await client.leave();
  assert.deepEqual(heard.states, [
    ["CONNECTING", "DISCONNECTED", undefined],
    ["CONNECTED", "CONNECTING", undefined],
    ["DISCONNECTING", "CONNECTED", "LEAVE"],
    ["DISCONNECTED", "DISCONNECTING", "LEAVE"],
  ]);
});

test("once is once, off takes one listener away, or all", async (t) => {
  const { node, client } = await joined(t);
  const order = [];
  const first = () => order.push("first");
  client.on("stream-added", first);
  client.on("stream-added", () => order.push("second"));
  client.once("stream-added", () => order.push("once"));
  const tell = async (uid) => {
    node.tell("StreamAdded", of(uid));
    await settled();
    return order.splice(0);
  };
  assert.deepEqual(await tell("1"), ["first", "second", "once"]);
  client.off("stream-added", first);
  assert.deepEqual(await tell("2"), ["second"]);
  client.off("stream-added", () => {});
  assert.deepEqual(await tell("3"), ["second"]);
  client.off("stream-added");
  assert.deepEqual(await tell("4"), []);
});

test("a listener may take listeners away while it is told", async (t) => {
  const { node, client } = await joined(t);
  const order = [];
  const second = () => order.push("second");
  client.on("stream-added", () => {
    order.push("first");
    client.off("stream-added", second);
  });
  client.on("stream-added", second);
  node.tell("StreamAdded", of("1"));
  node.tell("StreamAdded", of("2"));
  await settled();
  assert.deepEqual(order, ["first", "second", "first"]);
});

for (const [code, reason, expected] of [
  [1000, "UID_BANNED", { code: 14, why: "UID_BANNED" }],
  [1005, "UID_BANNED", { code: 14, why: "UID_BANNED" }],
  [1000, "UID_REPLACED", { code: 3011, why: "UID_REPLACED" }],
  [1000, "TOKEN_EXPIRED", { code: 109, why: "TOKEN_EXPIRED" }],
  [1000, "KICKED", { code: 3012, why: "KICKED" }],
  [1000, "", { code: 3012, why: "SERVER_CLOSED" }],
  [1005, "", { code: 3012, why: "SERVER_CLOSED" }],
  [1000, "NETWORK_ERROR", { again: "NETWORK_ERROR" }],
  [1005, "NETWORK_ERROR", { again: "NETWORK_ERROR" }],
  [1001, "SHUTDOWN", { again: "SERVER_ERROR" }],
  [1006, "", { again: "NETWORK_ERROR" }],
  [1011, "UID_BANNED", { again: "SERVER_ERROR" }],
  [4000, "whatever", { again: "SERVER_ERROR" }],
]) {
  const what = expected.again ? "brings the client back" : `ends it with ${expected.why}`;
  test(`a close with ${code} ${JSON.stringify(reason)} ${what}`, async (t) => {
    const { node, client, heard } = await joined(t);
    node.session("7").break(code, reason);
    await settled();
    const last = heard.states[heard.states.length - 1];
    if (expected.again) {
      assert.deepEqual(last, ["RECONNECTING", "CONNECTED", expected.again]);
      await pass(1_000);
      assert.deepEqual(heard.states.pop(), ["CONNECTED", "RECONNECTING", undefined]);
      assert.equal(node.gatewayAsked[0].sid, node.gatewayAsked[1].sid);
    } else {
      assert.deepEqual(last, ["DISCONNECTED", "CONNECTED", expected.why]);
      assert.deepEqual(heard.events.map(([name, error]) => [name, plain(error).code]), [["error", expected.code]]);
      await pass(10_000);
      assert.equal(node.gatewayAsked.length, 1);
      await assert.rejects(client.publish(), { code: 2003 });
      assert.equal(await client.join("", "room", 7), 7);
    }
  });
}

test("a session whose token has run out does not come back by itself, and rejoins with a new one", async (t) => {
  const { node, client, heard } = await joined(t);
  await client.publish();
  node.tell("TokenExpired", { ChanId: "room", Seconds: 0 });
  node.session("7").break(1000, "");
  await settled();
  assert.deepEqual(heard.events.map(([name, error]) => [name, error?.code]), [
    ["token-privilege-did-expire", undefined],
    ["error", 109],
  ]);
  assert.equal(await client.rejoin("t2", "room", 7, []), 7);
  assert.equal(node.last("Login").AcsToken, "t2");
  assert.equal(node.cmds().pop(), "Publish");
});
