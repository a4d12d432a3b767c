// What an app does wrong reaches it as a failure: never a throw, never silence.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import Lockgate, { ErrorCode } from "../dist/lockgate.mjs";
import { actor, pass, plain, settled, stage } from "./fake/memory.mjs";

const NAMES = Object.fromEntries(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/** Both ways to call: the names of the two errors. */
async function failures(client, method, ...args) {
  const names = [];
  const returned = client[method](...args, () => assert.fail(`${method} succeeded`), (err) => names.push(NAMES[err.code]));
  assert.equal(returned, undefined);
  assert.deepEqual(names, [], "never before the call has returned");
  await client[method](...args).then(
    () => assert.fail(`${method} succeeded`),
    (err) => names.push(NAMES[err.code]),
  );
  await settled();
  assert.equal(names.length, 2, method);
  return names;
}

const states = {
  fresh: (t) => {
    const client = new Lockgate.Client();
    return { client };
  },
  "without a node": async () => {
    const client = new Lockgate.Client();
    await client.init("app");
    return { client };
  },
  ready: (t) => stage(t),
  joined: async (t) => {
    const scene = stage(t);
    await scene.client.join("", "room", 7);
    scene.node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
    await settled();
    return scene;
  },
  audience: async (t) => {
    const scene = stage(t);
    await scene.client.setRole("audience");
    await scene.client.join("", "room", 7);
    return scene;
  },
  left: async (t) => {
    const scene = stage(t);
    await scene.client.join("", "room", 7);
    await scene.client.leave();
    return scene;
  },
  destroyed: async (t) => {
    const scene = stage(t);
    await scene.client.destroy();
    return scene;
  },
};

const IN_A_CHANNEL = [
  ["publish", "all"], ["unpublish"], ["subscribe", 8], ["unsubscribe", 8], ["mute", 8, "all"],
  ["unmute", 8, "all"], ["muteLocal", "all"], ["unmuteLocal", "all"], ["renewToken", "t"],
];

const table = [
  ["fresh", ["join", "", "room", 7], "NOT_INITIALIZED"],
  ["fresh", ["rejoin", "", "room", 7, []], "NOT_INITIALIZED"],
  ["fresh", ["init", ""], "INVALID_ARGUMENT"],
  ["fresh", ["init", 7], "INVALID_ARGUMENT"],
  ["fresh", ["init", undefined], "INVALID_ARGUMENT"],
  ["without a node", ["join", "", "room", 7], "NO_SERVER"],
  ["ready", ["leave"], "NOT_JOINED"],
  ...IN_A_CHANNEL.map((call) => ["ready", call, "NOT_JOINED"]),
  ...IN_A_CHANNEL.map((call) => ["left", call, "NOT_JOINED"]),
  ...IN_A_CHANNEL.map((call) => ["destroyed", call, "DESTROYED"]),
  ["left", ["leave"], "NOT_JOINED"],
  ["destroyed", ["leave"], "DESTROYED"],
  ["destroyed", ["destroy"], "DESTROYED"],
  ["destroyed", ["join", "", "room", 7], "DESTROYED"],
  ["destroyed", ["setRole", "audience"], "DESTROYED"],
  ["joined", ["init", "other"], "ALREADY_JOINED"],
  ["joined", ["join", "", "room", 7], "ALREADY_JOINED"],
  ["joined", ["unpublish"], "NOT_PUBLISHED"],
  ["joined", ["unsubscribe", 8], "NOT_SUBSCRIBED"],
  ["joined", ["unsubscribe", 99], "NOT_SUBSCRIBED"],
  ["joined", ["mute", 99, "all"], "UNKNOWN_USER"],
  ["joined", ["unmute", 99, "all"], "UNKNOWN_USER"],
  ["joined", ["mute", 8, "sound"], "INVALID_ARGUMENT"],
  ["joined", ["mute", 8, undefined], "INVALID_ARGUMENT"],
  ["joined", ["mute", {}, "all"], "INVALID_ARGUMENT"],
  ["joined", ["muteLocal", "both"], "INVALID_ARGUMENT"],
  ["joined", ["unmuteLocal", null], "INVALID_ARGUMENT"],
  ["joined", ["publish", "screen"], "INVALID_ARGUMENT"],
  ["joined", ["subscribe", undefined], "INVALID_ARGUMENT"],
  ["joined", ["subscribe", -1], "INVALID_ARGUMENT"],
  ["joined", ["subscribe", 1.5], "INVALID_ARGUMENT"],
  ["joined", ["subscribe", "a b"], "INVALID_ARGUMENT"],
  ["joined", ["renewToken", ""], "INVALID_ARGUMENT"],
  ["joined", ["renewToken", 7], "INVALID_ARGUMENT"],
  ["ready", ["setRole", "host"], "INVALID_ARGUMENT"],
  ["ready", ["setRole", undefined], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "", 7], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "频道", 7], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "a/b", 7], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "a".repeat(65), 7], "INVALID_ARGUMENT"],
  ["ready", ["join", "", undefined, 7], "INVALID_ARGUMENT"],
  ["ready", ["join", 7, "room", 7], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "room", "a".repeat(49)], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "room", "a-b"], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "room", 4294967296], "INVALID_ARGUMENT"],
  ["ready", ["join", "", "room", NaN], "INVALID_ARGUMENT"],
  ["ready", ["rejoin", "", "room", 7, 8], "INVALID_ARGUMENT"],
  ["ready", ["rejoin", "", "room", 7, ["a b"]], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", undefined], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { ConfPriCloudAddr: {} }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { ConfPriCloudAddr: { ServerAdd: "http://a" } }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { ConfPriCloudAddr: { ServerAdd: "a.test:8080" } }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { ConfPriCloudAddr: { ServerAdd: "a", Port: 70000 } }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { transport: {} }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { pullForm: "hls" }], "INVALID_ARGUMENT"],
  ["ready", ["setParameters", { pushForm: "whep" }], "INVALID_ARGUMENT"],
  ["audience", ["publish", "all"], "AUDIENCE_MAY_NOT_PUBLISH"],
  ["audience", ["unpublish"], "NOT_PUBLISHED"],
];

for (const [state, [method, ...args], name] of table) {
  const shown = args.map((arg) => JSON.stringify(arg)?.slice(0, 40)).join(", ");
  test(`${state}: ${method}(${shown}) fails with ${name}`, async (t) => {
    const { client, node } = await states[state](t);
    const before = node?.received.length;
    assert.deepEqual(await failures(client, method, ...args), [name, name]);
    assert.equal(node?.received.length, before, "and nothing is sent");
  });
}

test("a failure that has no onFailure is told as an error event", async (t) => {
  const { client, heard } = stage(t);
  client.publish((url) => url);
  client.leave(() => {});
  await settled();
  assert.deepEqual(heard.events.map(([name, err]) => [name, err.code]), [["error", 2003], ["error", 2003]]);
});

test("callbacks that are none are told of, and nothing is done", async (t) => {
  const { client, node, heard } = stage(t);
  await client.join("", "room", 7);
  const got = [];
  client.subscribe(8, "callback", (err) => got.push(err.code));
  client.leave("x");
  await settled();
  assert.deepEqual(got, [3002]);
  assert.ok(!node.cmds().includes("Subscribe"));
  assert.deepEqual(heard.events.pop().slice(0, 1), ["error"]);
  assert.ok(!node.cmds().includes("Logout"));
});

test("a listener that is no function is told of", async (t) => {
  const { client, heard } = stage(t);
  client.on("stream-added", undefined);
  client.once("stream-added", "f");
  assert.deepEqual(heard.events.map(([name, err]) => [name, err.code]), [["error", 3002], ["error", 3002]]);
});

test("what a callback throws is the app's, and the client goes on", async (t) => {
  const { client, node, heard } = stage(t);
  const late = [];
  mock.method(globalThis, "setTimeout", (callback, ms) => ms === 0 && late.push(callback));
  t.after(() => mock.restoreAll());
  client.on("stream-added", () => {
    throw new Error("in a listener");
  });
  client.join("", "room", 7, () => {
    throw new Error("in a callback");
  });
  await settled();
  node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
  await settled();
  // They surface as uncaught errors do: from a timer of their own.
  const thrown = late.map((callback) => {
    try {
      return callback();
    } catch (error) {
      return error.message;
    }
  });
  assert.deepEqual(thrown, ["in a callback", "in a listener"]);
  assert.deepEqual(heard.events, [["stream-added", { uid: 8 }]]);
  assert.equal(await client.publish(), "rtmp://node/app/push-1-7");
});

test("init with the same app in a channel changes nothing", async (t) => {
  const { client } = stage(t);
  await client.join("", "room", 7);
  await client.init("app");
  await client.publish();
});

test("a transport that throws is tried again", async (t) => {
  const { client, transport } = stage(t);
  const { post, connect } = transport;
  transport.post = () => {
    throw new Error("post");
  };
  const join = client.join("", "room", 7);
  await pass(3_000);
  transport.post = post;
  transport.connect = () => {
    throw new Error("connect");
  };
  await pass(5_000);
  transport.connect = connect;
  await pass(10_000);
  assert.equal(await join, 7);
});

test("leaving ends the join that still runs", async (t) => {
  const { client, transport } = stage(t);
  transport.offline = true;
  const join = client.join("", "room", 7);
  const failed = assert.rejects(join, { code: 3007 });
  await pass(5_000);
  await assert.rejects(client.publish(), { code: 2003 });
  await assert.rejects(client.join("", "room", 7), { code: 2008 });
  await client.leave();
  await failed;
  const asked = transport.posts.length;
  await pass(10_000);
  assert.equal(transport.posts.length, asked);
});

test("errors are code and reason, and errors too", async (t) => {
  const { client } = stage(t);
  const error = await client.publish().catch((thrown) => thrown);
  assert.ok(error instanceof Error);
  assert.deepEqual(plain(error), {
    code: 2003,
    reason: "not in a channel: call join and wait for its success",
  });
  assert.deepEqual(JSON.parse(JSON.stringify(error)), plain(error));
});

test("two clients do not share anything", async (t) => {
  const { client, node } = stage(t);
  const other = actor(node);
  await client.join("", "room", 7);
  await other.client.join("", "room", 8);
  await assert.rejects(other.client.unpublish(), { code: 3008 });
  await client.publish();
  await assert.rejects(other.client.unpublish(), { code: 3008 });
});
