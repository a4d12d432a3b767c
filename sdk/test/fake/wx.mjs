// A stand-in for a mini program's `wx`: its network over real sockets, its life by `fire`.
import { WebSocket } from "ws";

export class FakeWx {
  constructor() {
    this.callbacks = {};
    /** How many sockets fail before one opens. */
    this.failures = 0;
    this.toasts = [];
    this.navigated = [];
    this.storage = {};
    for (const event of ["NetworkStatusChange", "AppShow", "AppHide"]) {
      this.callbacks[event] = [];
      this[`on${event}`] = (callback) => this.callbacks[event].push(callback);
      this[`off${event}`] = (callback) => {
        this.callbacks[event] = this.callbacks[event].filter((other) => other !== callback);
      };
    }
  }

  listening() {
    return Object.keys(this.callbacks).filter((event) => this.callbacks[event].length).sort();
  }

  fire(event, argument) {
    for (const callback of this.callbacks[event]) callback(argument);
  }

  request({ url, method, data, header, success, fail }) {
    fetch(url, { method, body: data, headers: header }).then(
      async (answer) => success({ statusCode: answer.status, data: await answer.text() }),
      (error) => fail({ errMsg: `request:fail ${error.message}` }),
    );
  }

  connectSocket({ url, fail }) {
    if (this.failures > 0) {
      this.failures -= 1;
      setTimeout(() => fail({ errMsg: "connectSocket:fail" }), 1);
      return { onOpen() {}, onMessage() {}, onClose() {}, onError() {}, send() {}, close() {} };
    }
    const socket = new WebSocket(url);
    return {
      onOpen: (callback) => socket.on("open", () => callback({})),
      onMessage: (callback) => socket.on("message", (data) => callback({ data: String(data) })),
      onClose: (callback) => socket.on("close", (code, reason) => callback({ code, reason: String(reason) })),
      onError: (callback) => socket.on("error", (error) => callback({ errMsg: error.message })),
      send: ({ data }) => socket.send(data),
      close: ({ code, reason }) => socket.close(code, reason),
    };
  }

  // What the demo uses besides.

  showToast({ title }) {
    this.toasts.push(title);
  }

  navigateTo({ url }) {
    this.navigated.push(url);
  }

  navigateBack() {
    this.navigated.push("back");
  }

  setKeepScreenOn() {}

  getStorageSync(key) {
    return this.storage[key] ?? "";
  }

  setStorageSync(key, value) {
    this.storage[key] = value;
  }

  createLivePusherContext() {
    return (this.pusher ??= new FakeContext());
  }

  createLivePlayerContext(id) {
    this.players ??= {};
    return (this.players[id] ??= new FakeContext());
  }
}

/** Of a live-pusher or a live-player: keeps what was asked of it. */
class FakeContext {
  constructor() {
    this.asked = [];
    return new Proxy(this, {
      get: (target, name) => {
        if (name in target || typeof name !== "string") return target[name];
        return (options) => {
          target.asked.push(name);
          options?.success?.();
          options?.complete?.();
        };
      },
    });
  }
}
