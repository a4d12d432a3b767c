import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as api from "../src/api/client";

const stored = new Map<string, string>();
const asked: Array<{ url: string; init: RequestInit }> = [];
let answer: () => Response | Promise<Response>;

beforeEach(() => {
  stored.clear();
  asked.length = 0;
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    asked.push({ url, init });
    return answer();
  });
});
afterEach(() => vi.unstubAllGlobals());

const failure = async (promise: Promise<unknown>) => promise.then(() => undefined, (error: unknown) => error as api.ApiError);

test("names of any kind are one segment of a path", async () => {
  answer = () => Response.json({ items: [] });
  await api.members("live", "room 1?#&%/..");
  await api.players("live", "a/b c");
  expect(asked.map(({ url }) => url)).toEqual([
    "/api/v1/channels/live/room%201%3F%23%26%25%2F../members?limit=1000",
    "/api/v1/players?limit=1000&app=live&name=a%2Fb+c",
  ]);
});

test("the token goes with every request while there is one", async () => {
  answer = () => Response.json({});
  await api.node();
  api.token.set("secret");
  await api.node();
  const sent = asked.map(({ init }) => (init.headers as Headers).get("authorization"));
  expect(sent).toEqual([null, "Bearer secret"]);
});

test("a change is JSON, and an answer without a body is nothing", async () => {
  answer = () => new Response(null, { status: 204 });
  expect(await api.kick(7)).toBeUndefined();
  answer = () => Response.json({ connection: 7 });
  await api.switchGate(7, "audio", "closed");
  expect(asked.map(({ url, init }) => [init.method, url, init.body])).toEqual([
    ["DELETE", "/api/v1/connections/7", null],
    ["PATCH", "/api/v1/players/7/gate", '{"audio":"closed"}'],
  ]);
});

test("errors are the node's own where it answered, and say so where it did not", async () => {
  const body = { code: "token_wrong", message: "this is not the node's token", next: "send it" };
  answer = () => Response.json(body, { status: 401 });
  const refused = await failure(api.node());
  expect([refused?.locked, refused?.code, refused?.message, refused?.next]).toEqual([true, ...Object.values(body)]);

  answer = () => new Response("<html>", { status: 502, statusText: "Bad Gateway" });
  expect((await failure(api.node()))?.message).toBe("HTTP 502 Bad Gateway");

  answer = () => Promise.reject(new TypeError("Failed to fetch"));
  expect(await failure(api.node())).toMatchObject({ status: 0, code: "no_answer", locked: false });
});
