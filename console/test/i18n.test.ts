import { describe, expect, test } from "vitest";
import { en } from "../src/i18n/en";
import { fill } from "../src/i18n";
import { zh } from "../src/i18n/zh";

const names = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

describe("the dictionaries", () => {
  test("have the same keys, and nothing in them is empty", () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    for (const text of [...Object.values(en), ...Object.values(zh)]) expect(text.trim()).not.toBe("");
  });

  test("fill in the same names", () => {
    for (const [key, text] of Object.entries(en)) expect([key, names(zh[key as keyof typeof en])]).toEqual([key, names(text)]);
  });

  test("have no text that no page shows", () => {
    const files = import.meta.glob<string>("../src/**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true });
    const shown = Object.entries(files).filter(([name]) => !/i18n.(en|zh)\.ts$/.test(name));
    const source = shown.map(([, text]) => text).join("\n");
    // These are looked up by what the node calls things.
    const looked = /^(reason|source|media)\./;
    const unused = Object.keys(en).filter((key) => !looked.test(key) && !source.includes(`"${key}"`));
    expect(unused).toEqual([]);
  });
});

test("a name that nothing is given for stays as it is", () => {
  expect(fill("{a} of {b}", { a: 0 })).toBe("0 of {b}");
});
