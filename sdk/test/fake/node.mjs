// A node as the protocol page describes one, and nothing more: it shares no code with the client.
//
// It is strict: a message that the page does not allow is kept in `faults`, which tests hold empty.
// How bytes come and go is the business of `memory.mjs` and `server.mjs`.

const CMDS = new Set([
  "Login", "KeepAlive", "SetRole", "Publish", "UnPublish", "Subscribe", "UnSubscribe",
  "MuteRemoteStream", "MuteLocalStream", "Logout",
  // Our additions.
  "RenewToken", "Report",
]);
const WITH_EMPTY_CONTENT = new Set(["Logout", "Publish", "UnPublish"]);

export class FakeNode {
  constructor() {
    this.faults = [];
    this.gatewayAsked = [];
    /** Each message: `{ from, cmd, content }`. */
    this.received = [];
    this.sessions = [];
    /** Members by sid: what survives a broken WebSocket. */
    this.members = new Map();
    this.gatewayReply = undefined;
    this.addresses = [{ type: 0, addr: "node.test", port: 80 }];
    this.loginReply = undefined;
    /** Cmds that get no answer. */
    this.silent = new Set();
    /** Answers in place of the usual ones: by Cmd, each used once. */
    this.answers = new Map();
    this.run = 1;
  }

  /** Everything it knew is gone, as after a restart. */
  restart() {
    for (const session of [...this.sessions]) session.break(1006, "");
    this.members.clear();
    this.run += 1;
  }

  gateway(body) {
    this.gatewayAsked.push(body);
    if (!/^[0-9a-f]{32}$/.test(body.sid)) this.faults.push(`sid ${body.sid}`);
    for (const name of ["appId", "cname", "uid", "token", "extend"]) {
      if (typeof body[name] !== "string") this.faults.push(`gateway ${name} is ${typeof body[name]}`);
    }
    if (typeof body.wss !== "boolean") this.faults.push("gateway wss");
    const reply = typeof this.gatewayReply === "function" ? this.gatewayReply(body) : this.gatewayReply;
    return reply ?? { code: 0, msg: "", session_id: `gw-${this.gatewayAsked.length}`, addresses: this.addresses };
  }

  /** A WebSocket is open; `wire` has `send(text)` and `close(code, reason)`. */
  accept(wire, url) {
    const session = new FakeSession(this, wire, url);
    this.sessions.push(session);
    return session;
  }

  cmds(uid) {
    const of = this.received.filter((each) => uid === undefined || each.from === uid);
    return of.map((each) => each.cmd);
  }

  last(cmd) {
    return this.received.filter((each) => each.cmd === cmd).pop()?.content;
  }

  tell(cmd, content, uid) {
    for (const session of this.sessions) {
      if (uid === undefined || session.uid === uid) session.send(cmd, content);
    }
  }

  session(uid) {
    return this.sessions.find((session) => session.uid === uid);
  }
}

class FakeSession {
  constructor(node, wire, url) {
    this.node = node;
    this.wire = wire;
    this.url = url;
    this.uid = undefined;
  }

  send(cmd, content) {
    this.wire.send(JSON.stringify({ Cmd: cmd, Content: JSON.stringify(content) }));
  }

  raw(text) {
    this.wire.send(text);
  }

  /** The node closes it. */
  break(code, reason) {
    this.closed();
    this.wire.close(code, reason);
  }

  closed(code, reason) {
    this.closeCode = code;
    this.closeReason = reason;
    this.node.sessions = this.node.sessions.filter((session) => session !== this);
  }

  receive(text) {
    const { node } = this;
    const envelope = JSON.parse(text);
    const { Cmd: cmd, Content: raw } = envelope;
    if (!CMDS.has(cmd)) node.faults.push(`unknown Cmd ${cmd}`);
    if (typeof raw !== "string") node.faults.push(`${cmd}: Content is ${typeof raw}`);
    if (raw === "" && !WITH_EMPTY_CONTENT.has(cmd)) node.faults.push(`${cmd}: empty Content`);
    if (this.uid === undefined && cmd !== "Login") node.faults.push(`${cmd} before Login`);
    const content = raw === "" ? "" : JSON.parse(raw);
    node.received.push({ from: this.uid, cmd, content });
    if (node.silent.has(cmd)) return;
    const planned = node.answers.get(cmd)?.shift();
    if (planned) return this.send(cmd, planned);
    const answer = this[cmd]?.(content, envelope);
    if (answer) this.send(cmd, answer);
  }

  Login(content, envelope) {
    const { node } = this;
    if (typeof envelope.AppId !== "string") node.faults.push("Login without AppId");
    for (const name of ["ChanId", "ChanSId", "UserSId", "SdkVer", "SessionId", "AcsToken"]) {
      if (typeof content[name] !== "string") node.faults.push(`Login ${name} is ${typeof content[name]}`);
    }
    if (content.ChanSId !== `gw-${node.gatewayAsked.length}`) node.faults.push("not the gateway's session");
    const planned = typeof node.loginReply === "function" ? node.loginReply(content) : node.loginReply;
    if (planned) return planned;
    this.uid = content.UserId || "9001";
    this.resumed = node.members.has(content.UserSId);
    if (!this.resumed) node.members.set(content.UserSId, { pulls: 0 });
    this.sid = content.UserSId;
    return { Code: 0, UserId: this.uid };
  }

  KeepAlive(content) {
    if (!/^[0-9]+$/.test(content.time)) this.node.faults.push("KeepAlive time");
    return {};
  }

  SetRole({ Role }) {
    if (Role !== "Host" && Role !== "Audience") this.node.faults.push(`Role ${Role}`);
    return { Code: 0 };
  }

  Publish() {
    return { Code: 0, PushUrl: `rtmp://node/app/push-${this.node.run}-${this.uid}` };
  }

  UnPublish() {
    return { Code: 0 };
  }

  Subscribe({ UserId, ChanId }) {
    if (typeof UserId !== "string" || typeof ChanId !== "string") this.node.faults.push("Subscribe");
    return { Code: 0, UserId, PullUrl: `rtmp://node/app/pull-${this.node.run}-${UserId}` };
  }

  UnSubscribe({ UserId, ChanId }) {
    if (typeof UserId !== "string" || typeof ChanId !== "string") this.node.faults.push("UnSubscribe");
    return { Code: 0 };
  }

  MuteRemoteStream(content) {
    this.mutes("MuteRemoteStream", content);
  }

  MuteLocalStream(content) {
    this.mutes("MuteLocalStream", content);
    if (content.UserId !== this.uid) this.node.faults.push("MuteLocalStream of another");
  }

  mutes(cmd, { UserId, MuteAudio, MuteVideo }) {
    const right = typeof UserId === "string" && typeof MuteAudio === "boolean" && typeof MuteVideo === "boolean";
    if (!right) this.node.faults.push(cmd);
  }

  Logout() {
    this.node.members.delete(this.sid);
    return { Code: 0 };
  }

  RenewToken({ AcsToken }) {
    return { Code: AcsToken === "bad" ? 110 : 0 };
  }
}
