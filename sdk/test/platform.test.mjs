// The networks of mini programs and browsers, with stand-ins for `wx`, `window` and `WebSocket`.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { FakeWx } from "./fake/wx.mjs";
import { serve, until } from "./fake/server.mjs";

const load = () => {
  const require = createRequire(import.meta.url);
  delete require.cache[require.resolve("../dist/lockgate.js")];
  return require("../dist/lockgate.js");
};

test("a mini program needs nothing but the file", async (t) => {
  const { node, port } = await serve(t);
  const wx = new FakeWx();
  globalThis.wx = wx;
  t.after(() => delete globalThis.wx);
  const client = new (load().Client)();
  const states = [];
  client.on("connection-state-change", (state) => states.push(state));
  await client.setParameters({ ConfPriCloudAddr: { ServerAdd: "127.0.0.1", Port: port, Wss: false } });
  await client.init("app");
  assert.equal(await client.join("", "room", 7), 7);
  assert.equal(await client.publish(), "rtmp://node/app/push-1-7");
  assert.deepEqual(wx.listening(), ["AppHide", "AppShow", "NetworkStatusChange"]);

  const before = node.cmds().length;
  wx.fire("NetworkStatusChange", { isConnected: false, networkType: "none" });
  wx.fire("NetworkStatusChange", { isConnected: true, networkType: "4g" });
  await until(() => node.cmds().length > before);
  assert.equal(node.cmds().pop(), "KeepAlive");

  wx.fire("AppHide");
  node.session("7").break(1000, "");
  await until(() => states[states.length - 1] === "RECONNECTING");
  wx.fire("AppShow");
  await until(() => states[states.length - 1] === "CONNECTED");

  await client.leave();
  assert.deepEqual(wx.listening(), []);
  await until(() => node.sessions.length === 0);
  assert.deepEqual(node.faults, []);
});

test("a mini program that cannot connect goes on trying", async (t) => {
  const { node, port } = await serve(t);
  const wx = new FakeWx();
  wx.failures = 1;
  globalThis.wx = wx;
  t.after(() => delete globalThis.wx);
  const client = new (load().Client)();
  await client.setParameters({ ConfPriCloudAddr: { ServerAdd: "127.0.0.1", Port: port } });
  await client.init("app");
  await client.join("", "room", 7);
  assert.equal(node.gatewayAsked.length, 2);
  await client.leave();
});

test("a page inside WeChat, whose wx has no sockets, uses the browser's", async (t) => {
  globalThis.wx = {};
  t.after(() => delete globalThis.wx);
  const had = globalThis.WebSocket;
  delete globalThis.WebSocket;
  t.after(() => had && (globalThis.WebSocket = had));
  const client = new (load().Client)();
  await client.setParameters({ ConfPriCloudAddr: { ServerAdd: "127.0.0.1" } });
  await client.init("app");
  await assert.rejects(client.join("", "room", 7), { code: 3005 });
});

test("a browser's page wakes the connection when it is shown, or online again", async (t) => {
  const { WebSocket } = await import("ws");
  const { node, port } = await serve(t);
  const page = new EventTarget();
  const shown = new EventTarget();
  shown.visibilityState = "visible";
  Object.assign(globalThis, { window: page, document: shown, WebSocket });
  t.after(() => {
    for (const name of ["window", "document", "WebSocket"]) delete globalThis[name];
  });
  const client = new (load().Client)();
  await client.setParameters({ ConfPriCloudAddr: { ServerAdd: "127.0.0.1", Port: port } });
  await client.init("app");
  await client.join("", "room", 7);
  for (const [target, event] of [[page, "online"], [shown, "visibilitychange"]]) {
    const before = node.cmds().length;
    target.dispatchEvent(new Event(event));
    await until(() => node.cmds().length > before);
    assert.equal(node.cmds().pop(), "KeepAlive");
  }
  await client.leave();
  page.dispatchEvent(new Event("online"));
});
