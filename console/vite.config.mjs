import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// A node for `npm run dev`: LOCKGATE_URL, else the one that `make run` starts.
const node = process.env.LOCKGATE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  resolve: {
    // The SDK as it lies beside the console: the channel page is its client.
    alias: { "lockgate-sdk": fileURLToPath(new URL("../sdk/src/index.ts", import.meta.url)) },
  },
  build: {
    assetsDir: "_console",
    // The folder has a file that is not built; scripts/build.mjs takes away the rest.
    emptyOutDir: false,
    // A page of this policy loads nothing that is written into it.
    assetsInlineLimit: 0,
    // What the packages in it ask to be told with them.
    license: { fileName: "_console/licenses.txt" },
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    fs: { allow: [".."] },
    proxy: Object.fromEntries(
      ["/api", "/metrics", "/arapi", "/readyz", "^/[^/]+/[^/]+\\.flv", "^/[^/]+/[^/]+/wh[ei]p"].map((path) => [
        path,
        { target: node, ws: true },
      ]),
    ),
  },
});
