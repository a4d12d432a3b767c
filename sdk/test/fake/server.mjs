// The fake node on real sockets.
import { createServer } from "node:http";
import { once } from "node:events";
import { WebSocket, WebSocketServer } from "ws";
import Lockgate from "../../dist/lockgate.mjs";
import { FakeNode } from "./node.mjs";
import { listen } from "./memory.mjs";

export async function serve(t) {
  const node = new FakeNode();
  const http = createServer(async (request, response) => {
    if (request.method !== "POST" || request.url !== "/arapi/v1?action=wapp_gateway") {
      node.faults.push(`${request.method} ${request.url}`);
    }
    if (request.headers["content-type"] !== "application/json") node.faults.push("content-type");
    let body = "";
    for await (const part of request) body += part;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(node.gateway(JSON.parse(body))));
  });
  const sockets = new WebSocketServer({ server: http, path: "/" });
  sockets.on("connection", (socket, request) => {
    const wire = {
      send: (text) => socket.send(text),
      close: (code, reason) => (code === 1006 ? socket.terminate() : socket.close(code, reason)),
    };
    const session = node.accept(wire, request.url);
    socket.on("message", (data) => session.receive(String(data)));
    socket.on("close", (code, reason) => session.closed(code, String(reason)));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address();
  node.addresses = [{ type: 1, addr: "unused.test", port: 1 }, { type: 0, addr: "127.0.0.1", port }];
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    http.close();
  });
  return { node, port, newClient: () => newClient(t, port) };
}

function newClient(t, port) {
  const client = new Lockgate.Client();
  client.setParameters({
    ConfPriCloudAddr: { ServerAdd: "127.0.0.1", Port: port, Wss: false },
    transport: Lockgate.webTransport({ WebSocket }),
  });
  client.init("app");
  t.after(() => client.destroy().catch(() => {}));
  return { client, heard: listen(client) };
}

/** Ends when `condition` holds; ten seconds of it not holding are a failure. */
export async function until(condition) {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not in 10 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
