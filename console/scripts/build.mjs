// Builds dist/, and packs each file beside itself: the node sends the packed one as it is.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");

rmSync(join(dist, "_console"), { recursive: true, force: true });
for (const name of ["index.html", "index.html.gz"]) rmSync(join(dist, name), { force: true });
await build({ root, logLevel: "warn" });

let [bytes, packed] = [0, 0];
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name.startsWith(".")) continue;
  const file = join(entry.parentPath, entry.name);
  const content = readFileSync(file);
  // Without a time in it, so that the same sources make the same files.
  const small = gzipSync(content, { level: 9 });
  writeFileSync(`${file}.gz`, small);
  bytes += content.length;
  packed += small.length;
}
console.log(`console/dist: ${Math.round(bytes / 1024)} KiB, ${Math.round(packed / 1024)} packed`);
