// The demo mini program: its files hold together, and its pages drive a call.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { serve, until } from "./fake/server.mjs";
import { FakeWx } from "./fake/wx.mjs";

const demo = fileURLToPath(new URL("../demo/", import.meta.url));
const root = join(demo, "miniprogram");
const read = (path) => readFileSync(join(root, path), "utf8");
const files = (ending) =>
  readdirSync(demo, { recursive: true }).filter((path) => path.endsWith(ending) && !path.includes("lib/"));

test("every JSON file is JSON, and every page has its four files", () => {
  for (const path of files(".json")) JSON.parse(readFileSync(join(demo, path), "utf8"));
  const app = JSON.parse(read("app.json"));
  for (const page of app.pages) {
    for (const ending of ["js", "json", "wxml", "wxss"]) assert.ok(existsSync(join(root, `${page}.${ending}`)), page);
  }
  assert.ok(existsSync(join(root, app.sitemapLocation)));
});

test("every script parses", () => {
  for (const path of files(".js")) new vm.Script(readFileSync(join(demo, path), "utf8"), { filename: path });
});

/** Checks that tags nest, and gives their names and attributes. */
function tags(wxml) {
  const open = [];
  const all = [];
  const tag = /<(\/?)([a-z-]+)((?:\s+[a-z:-]+(?:="[^"]*")?)*)\s*(\/?)>/g;
  let at = 0;
  for (const match of wxml.matchAll(tag)) {
    assert.ok(!wxml.slice(at, match.index).includes("<"), `a stray < before ${match[0]}`);
    at = match.index + match[0].length;
    const [, closing, name, attributes, selfClosing] = match;
    if (closing) assert.equal(open.pop(), name);
    else {
      all.push({ name, attributes: Object.fromEntries([...attributes.matchAll(/([a-z:-]+)(?:="([^"]*)")?/g)].map(([, key, value]) => [key, value ?? true])) });
      if (!selfClosing) open.push(name);
    }
  }
  assert.deepEqual(open, []);
  assert.ok(!wxml.slice(at).includes("<"));
  return all;
}

for (const page of ["pages/join/join", "pages/meeting/meeting"]) {
  test(`${page}: the WXML is well formed, and its handlers and values are the page's`, () => {
    const { definition } = loadPage(page, new FakeWx(), {});
    for (const { attributes } of tags(read(`${page}.wxml`))) {
      for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("bind")) assert.equal(typeof definition[value], "function", value);
      }
    }
    for (const [, expression] of read(`${page}.wxml`).matchAll(/\{\{(.*?)\}\}/g)) {
      const names = expression.replace(/'[^']*'/g, "").match(/(?<![.\w])[a-z]\w*/gi) ?? [];
      for (const name of names) assert.ok(["item", "index"].includes(name) || name in definition.data, name);
    }
    assert.match(read(`${page}.wxss`).replace(/[^{}]/g, ""), /^(\{\})*$/);
  });
}

/** Loads a page as a mini program does, with `wx` and `getApp` as given. */
function loadPage(page, wx, globalData) {
  let definition;
  const path = join(root, `${page}.js`);
  const modules = new Map();
  const context = vm.createContext({
    wx, console, setTimeout, clearTimeout, Promise,
    Page: (given) => (definition = given),
    getApp: () => ({ globalData }),
  });
  const require = (from) => (name) => {
    const file = createRequire(from).resolve(name);
    if (!modules.has(file)) {
      const module = { exports: {} };
      modules.set(file, module);
      const run = vm.runInContext(`(function (require, module, exports) {${readFileSync(file, "utf8")}\n})`, context);
      run(require(file), module, module.exports);
    }
    return modules.get(file).exports;
  };
  vm.runInContext(`(function (require) {${readFileSync(path, "utf8")}\n})`, context)(require(path));
  const instance = Object.assign({}, definition, { data: structuredClone(definition.data) });
  instance.setData = (changes, done) => {
    Object.assign(instance.data, changes);
    done?.();
  };
  return { definition, page: instance, dir: dirname(path) };
}

async function meeting(t, changes = {}) {
  const { node, port, newClient } = await serve(t);
  const wx = new FakeWx();
  const globalData = {};
  const { page: joining } = loadPage("pages/join/join", wx, globalData);
  joining.onLoad();
  for (const [field, value] of Object.entries({ server: "127.0.0.1", port: String(port), appId: "app", channel: "room", uid: "7", ...changes })) {
    if (field === "audience") joining.onAudience({ detail: { value } });
    else joining.onInput({ currentTarget: { dataset: { field } }, detail: { value } });
  }
  joining.onJoin();
  assert.deepEqual(wx.navigated, ["/pages/meeting/meeting"]);
  const { page } = loadPage("pages/meeting/meeting", wx, globalData);
  page.onLoad();
  t.after(() => page.onUnload());
  await until(() => page.data.uid !== "");
  return { node, wx, page, newClient };
}

const tile = (index) => ({ currentTarget: { dataset: { index } } });

test("a whole meeting: join, publish, watch, mute, change the role, leave", async (t) => {
  const { node, wx, page } = await meeting(t);
  await until(() => page.data.pushUrl);
  assert.equal(page.data.uid, 7);
  assert.equal(page.data.pushUrl, "rtmp://node/app/push-1-7");
  assert.equal(page.data.state, "已连接");

  node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
  node.tell("UserVidStatus", { ChanId: "room", UserId: "8", Video: false });
  await until(() => page.data.members[0]?.url);
  assert.deepEqual({ ...page.data.members[0] }, {
    uid: 8, url: "rtmp://node/app/pull-1-8", rotation: 0, audio: true, video: false, deaf: false, blind: false,
  });
  node.tell("UserVidStatus", { ChanId: "room", UserId: "8", Video: true });
  await until(() => page.data.members[0].video);

  page.onDeafen(tile(0));
  await until(() => page.data.members[0].deaf);
  assert.deepEqual(node.last("MuteRemoteStream"), { UserId: "8", MuteAudio: true, MuteVideo: false });
  page.onBlind(tile(0));
  await until(() => page.data.members[0].blind);
  page.onDeafen(tile(0));
  await until(() => !page.data.members[0].deaf);

  page.onMic();
  await until(() => !page.data.mic);
  page.onCamera();
  await until(() => !page.data.camera);
  await until(() => node.last("MuteLocalStream")?.MuteVideo);
  assert.deepEqual(node.last("MuteLocalStream"), { UserId: "7", MuteAudio: true, MuteVideo: true });

  page.onPusherState({ detail: { code: 1002, message: "" } });
  page.onPlayerNet({ ...tile(0), detail: { info: { videoFPS: 15 } } });
  await until(() => node.last("Report"));
  assert.equal(node.last("Report").Players[0].Net.videoFPS, 15);

  page.onRole();
  await until(() => page.data.audience);
  assert.equal(page.data.pushUrl, "");
  page.onRole();
  await until(() => page.data.pushUrl);

  node.tell("StreamRemove", { ChanId: "room", UserId: "8" });
  await until(() => page.data.members.length === 0);
  page.onLeave();
  assert.equal(wx.navigated.pop(), "back");
  page.onUnload();
  await until(() => node.sessions.length === 0);
  assert.deepEqual(node.faults, []);
  assert.deepEqual(wx.toasts, []);
});

test("a node that restarts gives the page new URLs", async (t) => {
  const { node, wx, page } = await meeting(t);
  await until(() => page.data.pushUrl);
  node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
  await until(() => page.data.members.length === 1);
  node.restart();
  await until(() => page.data.pushUrl === "rtmp://node/app/push-2-7");
  await until(() => page.data.members[0].url === "rtmp://node/app/pull-2-8");
  assert.deepEqual(wx.pusher.asked.slice(-2), ["stop", "start"]);
});

test("components that gave up are started again", async (t) => {
  const { node, wx, page } = await meeting(t);
  await until(() => page.data.pushUrl);
  node.tell("StreamAdded", { ChanId: "room", UserId: "8" });
  await until(() => page.data.members[0]?.url);
  page.onPusherState({ detail: { code: -1307, message: "" } });
  assert.deepEqual(wx.pusher.asked, ["stop", "start", "stop", "start"]);
  page.onPlayerState({ ...tile(0), detail: { code: -2301, message: "" } });
  assert.deepEqual(wx.players["player-8"].asked, ["stop", "play"]);
  page.onPusherError({ detail: { errCode: 10002 } });
  assert.deepEqual(wx.toasts, ["请允许使用麦克风"]);
});

test("an audience joins as one and pushes nothing", async (t) => {
  const { node, page } = await meeting(t, { audience: true });
  await until(() => node.last("SetRole"));
  assert.deepEqual(node.last("SetRole"), { Role: "Audience" });
  assert.equal(page.data.pushUrl, "");
});

test("a join that is refused is shown", async (t) => {
  const wx = new FakeWx();
  const { node, port } = await serve(t);
  node.gatewayReply = { code: 110, msg: "" };
  const join = { server: "127.0.0.1", port, wss: false, appId: "app", channel: "room", uid: 7, token: "", audience: false };
  const { page } = loadPage("pages/meeting/meeting", wx, { join });
  page.onLoad();
  await until(() => wx.toasts.length);
  assert.match(wx.toasts[0], /加入失败.*110/);
  page.onUnload();
});
