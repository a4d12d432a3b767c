// What components say, and the log, on their way to the node.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import Lockgate from "../dist/lockgate.mjs";
import { pass, settled, stage } from "./fake/memory.mjs";

async function joined(t) {
  const scene = stage(t);
  await scene.client.join("", "room", 7);
  await scene.client.publish();
  await scene.client.subscribe(8);
  scene.reports = () => scene.node.received.filter(({ cmd }) => cmd === "Report").map(({ content }) => content);
  t.after(() => scene.client.leave().catch(() => {}));
  t.after(() => assert.deepEqual(scene.node.faults, []));
  return scene;
}

test("what components say is sent together, two seconds later", async (t) => {
  const { client, reports } = await joined(t);
  client.updatePusherStateChange({ detail: { code: 1002, message: "pushing" } });
  client.updatePusherNetStatus({ detail: { info: { videoBitrate: 400, netQualityLevel: 1, server: "1.2.3.4", odd: {} } } });
  client.updatePlayerStateChange(8, { code: 2004, message: "playing" });
  client.updatePlayerNetStatus("8", { info: { videoFPS: 15, videoCache: 300 } });
  await pass(1_900);
  assert.deepEqual(reports(), []);
  await pass(100);
  assert.deepEqual(reports(), [{
    Pusher: {
      States: [{ Code: 1002, Message: "pushing" }],
      Net: { videoBitrate: 400, netQualityLevel: 1, server: "1.2.3.4" },
    },
    Players: [{ UserId: "8", States: [{ Code: 2004, Message: "playing" }], Net: { videoFPS: 15, videoCache: 300 } }],
  }]);
});

test("a flood of net statuses is one message every two seconds, with the newest", async (t) => {
  const { client, reports } = await joined(t);
  for (let at = 1; at <= 100; at += 1) {
    client.updatePlayerNetStatus(8, { detail: { info: { videoFPS: at } } });
    await pass(100);
  }
  assert.equal(reports().length, 5);
  assert.equal(reports()[4].Players[0].Net.videoFPS, 100);
});

test("states that follow one another are each told, the newest twenty of a flood", async (t) => {
  const { client, reports } = await joined(t);
  client.updatePlayerStateChange(8, { detail: { code: 2007 } });
  await pass(500);
  client.updatePlayerStateChange(8, { detail: { code: 2004 } });
  await pass(2_000);
  const told = () => reports().map(({ Players }) => Players[0].States.map(({ Code }) => Code));
  assert.deepEqual(told(), [[2007, 2004]]);
  for (let at = 0; at < 1000; at += 1) client.updatePlayerStateChange(8, { detail: { code: at } });
  await pass(2_000);
  assert.equal(told().length, 2);
  assert.deepEqual(told()[1], Array.from({ length: 20 }, (_, at) => 980 + at));
});

test("of a player that is gone nothing more is said", async (t) => {
  const { client, node, reports } = await joined(t);
  await client.subscribe(9);
  node.tell("StreamAdded", { ChanId: "room", UserId: "9" });
  for (const uid of [8, 9]) client.updatePlayerNetStatus(uid, { info: { videoFPS: 1 } });
  await client.unsubscribe(8);
  node.tell("StreamRemove", { ChanId: "room", UserId: "9" });
  await pass(2_000);
  assert.deepEqual(reports(), []);
});

test("reports that cannot be are left out, with a line in the log", async (t) => {
  const { client, reports } = await joined(t);
  const lines = [];
  Lockgate.LOG.onLog = (line) => lines.push(line);
  t.after(() => (Lockgate.LOG.onLog = null));
  mock.method(console, "warn", () => {});
  client.updatePusherStateChange(undefined);
  client.updatePusherStateChange({ detail: { code: "x" } });
  client.updatePusherNetStatus({ detail: { info: {} } });
  client.updatePusherNetStatus(7);
  client.updatePlayerStateChange(99, { detail: { code: 2004 } });
  client.updatePlayerNetStatus(undefined, { detail: { info: { videoFPS: 1 } } });
  await client.leave();
  client.updatePusherStateChange({ detail: { code: 1002 } });
  await pass(3_000);
  mock.restoreAll();
  assert.deepEqual(reports(), []);
  assert.equal(lines.length, 7);
});

test("the log keeps to its level, and holds no secrets", async (t) => {
  const lines = [];
  const written = [];
  for (const method of ["log", "warn", "error"]) mock.method(console, method, (line) => written.push(line));
  Lockgate.LOG.onLog = (line) => lines.push(line);
  t.after(() => {
    mock.restoreAll();
    Lockgate.LOG.onLog = null;
    Lockgate.LOG.setLogLevel(2);
  });
  Lockgate.LOG.setLogLevel(-1);
  const { client } = stage(t);
  await client.join("the-secret", "room", 7);
  await client.publish();
  await client.subscribe(8);
  assert.ok(lines.length > 5);
  assert.deepEqual(written, lines.map((line) => `[lockgate] ${line}`));
  for (const secret of ["the-secret", "push-1", "pull-1"]) assert.ok(!lines.join("\n").includes(secret));
  Lockgate.LOG.setLogLevel(4);
  const before = lines.length;
  await client.leave();
  client.updatePusherStateChange(7);
  assert.equal(lines.length, before);
});

test("uploadLogs sends the newest lines through the client that is joined", async (t) => {
  const { client, reports } = await joined(t);
  Lockgate.LOG.setLogLevel(4);
  t.after(() => Lockgate.LOG.setLogLevel(2));
  for (let at = 0; at < 600; at += 1) client.updatePusherStateChange(undefined);
  await Lockgate.LOG.uploadLogs();
  await settled();
  const parts = reports().map(({ Log }) => Log);
  assert.ok(parts.length > 1);
  assert.equal(parts.flat().length, 500);
  for (const part of parts) assert.ok(part.join("").length <= 16_000);
  await client.leave();
  await assert.rejects(Lockgate.LOG.uploadLogs(), { code: 2003 });
  const got = [];
  Lockgate.LOG.uploadLogs(() => got.push("sent"), (err) => got.push(err.code));
  await settled();
  assert.deepEqual(got, [2003]);
});
