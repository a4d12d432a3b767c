/** What `setParameters` takes, read into what the gateway and the session run on. */
import type { Parameters, PrivateCloud, PullForm, PushForm, Transport } from "./api";
import { failure } from "./errors";

/** A name or an address: a scheme or a port in it would be asked for ever, in vain. */
const HOST = /^([a-zA-Z0-9._-]+|\[?[0-9a-fA-F:.]+\]?)$/;

const PULL_FORMS: readonly PullForm[] = ["rtmp", "http-flv", "ws-flv", "whep"];
const PUSH_FORMS: readonly PushForm[] = ["rtmp", "whip"];

/** `undefined`: what the node gives who does not say. */
export interface Forms {
  pull: PullForm | undefined;
  push: PushForm | undefined;
}

export function readParameters(parameters: Parameters): {
  server: PrivateCloud | undefined;
  transport: Transport | undefined;
  forms: Forms;
} {
  if (!parameters || typeof parameters !== "object") throw wrong("parameters are an object");
  const { ConfPriCloudAddr: server, transport, pullForm, pushForm } = parameters;
  if (transport !== undefined) {
    const whole = typeof transport?.post === "function" && typeof transport.connect === "function";
    if (!whole) throw wrong("a transport has post and connect");
  }
  if (pullForm !== undefined && !PULL_FORMS.includes(pullForm)) {
    throw wrong(`pullForm is one of ${PULL_FORMS.join(", ")}`);
  }
  if (pushForm !== undefined && !PUSH_FORMS.includes(pushForm)) {
    throw wrong(`pushForm is one of ${PUSH_FORMS.join(", ")}`);
  }
  const forms = { pull: pullForm, push: pushForm };
  return { server: server === undefined ? undefined : readServer(server), transport, forms };
}

function readServer(server: PrivateCloud): PrivateCloud {
  if (typeof server?.ServerAdd !== "string" || !HOST.test(server.ServerAdd)) {
    throw wrong("ConfPriCloudAddr.ServerAdd is a host alone");
  }
  const given = server.Port;
  const port = given === undefined || given === null ? undefined : Number(given);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65536)) {
    throw wrong("ConfPriCloudAddr.Port is a port");
  }
  return { ServerAdd: server.ServerAdd, Port: port, Wss: server.Wss === true };
}

function wrong(what: string): Error {
  return failure("INVALID_ARGUMENT", what);
}
