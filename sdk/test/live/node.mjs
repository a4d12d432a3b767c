// A node of one's own, to be killed and started again: LOCKGATE_BIN says which.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { certificate, closedApp } from "./token.mjs";

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export async function startNode(binary) {
  const http = await freePort();
  const rtmp = await freePort();
  const apps = [
    `{name="live", access="open"}`,
    `{name="${closedApp}", access="signed", certificate="${certificate}"}`,
  ];
  const args = [
    "run", "--set", `http.listen=127.0.0.1:${http}`, "--set", `rtmp.listen=127.0.0.1:${rtmp}`,
    "--set", "webrtc.listen=127.0.0.1:0",
    "--set", `apps=[${apps.join(", ")}]`,
  ];
  let child;
  const node = {
    url: new URL(`http://127.0.0.1:${http}`),
    async start() {
      child = spawn(binary, args, { stdio: "ignore" });
      for (let tries = 0; ; tries += 1) {
        if (await fetch(new URL("/healthz", node.url)).then(({ ok }) => ok, () => false)) return;
        if (tries > 500 || child.exitCode !== null) throw new Error("the node did not start");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async kill(signal = "SIGKILL") {
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
    },
  };
  await node.start();
  return node;
}
