import { expect, test } from "vitest";
import { netStatus, urlsOf } from "../src/meet/room";
import { flvUrl } from "../src/media/flv";
import { endpoint } from "../src/media/sdp";
import { href, segments } from "../src/router";

test("an address leads back to the names in it", () => {
  for (const names of [["streams"], ["streams", "live", "room 1/alice"], ["channels", "live", "a?#&%b"]]) {
    expect(segments(href(...names))).toEqual(names);
  }
  expect(segments("")).toEqual([]);
  expect(segments("#/")).toEqual([]);
  expect(segments("#/streams/%E0%A4%A")).toEqual(["streams", "%E0%A4%A"]);
});

test("a stream's name is one segment of its media URLs", () => {
  expect(endpoint("live", "room 1/alice", "whep")).toBe("/live/room%201%2Falice/whep");
  expect(endpoint("live", "demo", "whip", "key=a")).toBe("/live/demo/whip?key=a");
  expect(flvUrl("live", "a/b", "key=a")).toBe("/live/a%2Fb.flv?key=a");
});

test("a member's WHEP URL plays on the page's own host, and by FLV", () => {
  const path = "/live/sabcdefghijklmnopqrstuvwxyz2345";
  const urls = { whep: `${path}/whep`, flv: `${path}.flv` };
  expect(urlsOf(`http://127.0.0.1:8080${path}/whep`)).toEqual(urls);
  expect(urlsOf(`https://media.example.com${path}/whep`)).toEqual(urls);
});

test("what plays here is told in the units of live-player", () => {
  const told = netStatus({ fps: 29.97, bitsPerSecond: 1_064_000, audioBitsPerSecond: 64_000, buffer: 0.12, jitter: 0.004, loss: 0.0123 });
  expect(told).toEqual({ videoFPS: 30, videoBitrate: 1000, audioBitrate: 64, videoCache: 120, netJitter: 4, packetLoss: 1.2 });
  expect(netStatus({})).toEqual({});
});
