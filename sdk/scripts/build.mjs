// Builds dist/: the CommonJS and ES module files, their types, and the demo's copy.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

for (const [format, name] of [["cjs", "lockgate.js"], ["esm", "lockgate.mjs"]]) {
  await build({
    entryPoints: [join(root, "src/index.ts")],
    outfile: join(dist, name),
    bundle: true,
    format,
    // What the oldest mini-program runtimes still in use can parse.
    target: "es2015",
    platform: "neutral",
    minify: true,
    legalComments: "none",
    banner: { js: `/* lockgate-sdk ${version}, Apache-2.0 */` },
  });
}

// One file of types: the public types, and the values of index.ts.
const types = mkdtempSync(join(tmpdir(), "lockgate-types-"));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
execFileSync(
  process.execPath,
  [tsc, "-p", join(root, "tsconfig.json"), "--emitDeclarationOnly", "--outDir", types],
  { stdio: "inherit" },
);
const values = readFileSync(join(types, "index.d.ts"), "utf8")
  .split("\n")
  .filter((line) => !/^(import |export type \*)/.test(line))
  .join("\n")
  .replace(/^\/\*\*[^]*?\*\/\n/, "");
const declarations = readFileSync(join(types, "api.d.ts"), "utf8") + values;
writeFileSync(join(dist, "lockgate.d.ts"), declarations);
writeFileSync(join(dist, "lockgate.d.mts"), declarations);
rmSync(types, { recursive: true });

const lib = join(root, "demo/miniprogram/lib");
mkdirSync(lib, { recursive: true });
copyFileSync(join(dist, "lockgate.js"), join(lib, "lockgate.js"));

for (const name of ["lockgate.js", "lockgate.mjs", "lockgate.d.ts"]) {
  const file = join(dist, name);
  const packed = gzipSync(readFileSync(file)).length;
  console.log(`dist/${name}: ${statSync(file).size} bytes, ${packed} packed`);
}
