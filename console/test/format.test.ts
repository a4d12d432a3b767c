import { expect, test } from "vitest";
import * as format from "../src/format";

test("rates have three digits that count and the unit that fits", () => {
  expect([0, 999, 1000, 9_994, 99_950, 999_940, 999_999, 4_589_517].map(format.bitrate)).toEqual([
    "0 bit/s", "999 bit/s", "1.00 kbit/s", "9.99 kbit/s", "100 kbit/s", "1.00 Mbit/s", "1.00 Mbit/s", "4.59 Mbit/s",
  ]);
});

test("bytes go in steps of 1024", () => {
  expect([0, 1023, 1024, 1_250_000, 27_262_976].map(format.bytes)).toEqual(["0 B", "1,023 B", "1.00 KiB", "1.19 MiB", "26.0 MiB"]);
});

test("delays are milliseconds below a second", () => {
  expect([0, 0.0006, 0.02, 0.9994, 1.5, 12].map(format.delay)).toEqual(["0 ms", "0.6 ms", "20 ms", "999 ms", "1.50 s", "12.0 s"]);
});

test("ages have their two largest units", () => {
  expect([0, 59.9, 61, 3_661, 90_061].map(format.age)).toEqual(["0 s", "59 s", "1 min 01 s", "1 h 01 min", "1 d 01 h"]);
});

test("what is not known is a dash", () => {
  const all = [format.bitrate, format.bytes, format.delay, format.age, format.count, format.percent, format.fps];
  for (const each of all) expect(each(undefined)).toBe(format.NONE);
});

test("frame rates have a decimal only where it counts", () => {
  expect([0.5, 9.96, 24.98, 60].map(format.fps)).toEqual(["0.5", "10.0", "25", "60"]);
});
