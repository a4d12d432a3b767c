// The shape of what is published: exports, sizes, and the tables of the READMEs.
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as esm from "../dist/lockgate.mjs";

const cjs = createRequire(import.meta.url)("../dist/lockgate.js");
const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

const METHODS = [
  "destroy", "init", "join", "leave", "mute", "muteLocal", "off", "on", "publish", "setRole",
  "subscribe", "unmute", "unmuteLocal", "unpublish", "unsubscribe",
  "rejoin", "renewToken", "setParameters", "once", "updatePusherStateChange", "updatePusherNetStatus",
  "updatePlayerStateChange", "updatePlayerNetStatus",
];
const EVENTS = [
  "stream-added", "stream-removed", "mute-audio", "mute-video", "unmute-audio", "unmute-video",
  "update-url", "video-rotation", "error", "connection-state-change",
  "token-privilege-will-expire", "token-privilege-did-expire",
];

for (const [what, module] of [["CommonJS", cjs], ["the ES module", esm]]) {
  test(`${what} has Client, client and LOG, by name and as default`, () => {
    assert.deepEqual(Object.keys(module).filter((name) => name !== "__esModule").sort(), [
      "Client", "ErrorCode", "LOG", "VERSION", "client", "default", "webTransport",
    ]);
    for (const shape of [module, module.default]) {
      assert.ok(new shape.Client() instanceof module.Client);
      assert.equal(shape.client, shape.Client);
      assert.equal(typeof shape.LOG.setLogLevel, "function");
      assert.equal(typeof shape.LOG.uploadLogs, "function");
    }
    const client = new module.Client();
    for (const method of METHODS) assert.equal(typeof client[method], "function", method);
  });
}

test("the version is the package's", () => {
  assert.equal(esm.VERSION, JSON.parse(read("package.json")).version);
});

test("there is no runtime dependency, and the file is small", () => {
  assert.equal(JSON.parse(read("package.json")).dependencies, undefined);
  for (const name of ["lockgate.js", "lockgate.mjs"]) {
    const text = read(`dist/${name}`);
    assert.ok(!/\brequire\(|\bimport\b/.test(text), name);
    assert.ok(statSync(new URL(`../dist/${name}`, import.meta.url)).size < 40_000, name);
  }
});

for (const readme of ["README.md", "README.zh-CN.md"]) {
  const text = read(readme);

  test(`${readme} shows every method with an example, and every event`, () => {
    for (const method of METHODS) {
      assert.match(text, new RegExp(`^### ${method}$`, "m"), method);
      const section = text.split(new RegExp(`^### ${method}$`, "m"))[1].split(/^###? /m)[0];
      assert.ok(section.includes("```js") && section.includes(`client.${method}(`), `an example of ${method}`);
    }
    for (const event of EVENTS) assert.ok(text.includes(`| \`${event}\` |`), event);
  });

  test(`${readme} has every error`, () => {
    const rows = [...text.matchAll(/^\| (\d+) \| `([A-Z_]+)` \|/gm)].map(([, code, name]) => [name, Number(code)]);
    assert.deepEqual(Object.fromEntries(rows), { ...esm.ErrorCode });
  });
}
