/** The network of a mini program: `wx.request`, `wx.connectSocket`, and the phone's life. */
import type { LifeEvents, Socket, SocketEvents, Transport } from "../api";

declare const wx: any;

export function wechatTransport(): Transport | undefined {
  // A web page inside WeChat has a `wx` too, without sockets.
  if (typeof wx === "undefined" || typeof wx?.connectSocket !== "function") return undefined;
  return { post, connect, watch };
}

function post(url: string, body: string, timeout: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    wx.request({
      url,
      method: "POST",
      data: body,
      header: { "content-type": "application/json" },
      // As text: the gateway's reader decides what is JSON.
      dataType: "text",
      timeout,
      success: (res: any) => {
        const text = typeof res.data === "string" ? res.data : JSON.stringify(res.data);
        resolve({ status: res.statusCode, body: text });
      },
      fail: (error: any) => reject(new Error(error?.errMsg ?? "request failed")),
    });
  });
}

function connect(url: string, events: SocketEvents): Socket {
  let ended = false;
  const end = (code: number, reason: string) => {
    if (ended) return;
    ended = true;
    events.onClose(code, reason);
  };
  const task = wx.connectSocket({
    url,
    fail: (error: any) => end(1006, error?.errMsg ?? ""),
  });
  task.onOpen(() => ended || events.onOpen());
  task.onMessage((message: any) => ended || events.onMessage(String(message.data)));
  task.onClose((close: any) => end(close?.code ?? 1006, close?.reason ?? ""));
  // Where an error is not followed by a close.
  task.onError((error: any) => end(1006, error?.errMsg ?? ""));
  return {
    send: (text) => task.send({ data: text }),
    close: (code, reason) => {
      ended = true;
      task.close({ code, reason });
    },
  };
}

function watch(events: LifeEvents): () => void {
  const network = (res: any) => events.onNetwork(res?.isConnected === true);
  const show = () => events.onVisible(true);
  const hide = () => events.onVisible(false);
  wx.onNetworkStatusChange?.(network);
  wx.onAppShow?.(show);
  wx.onAppHide?.(hide);
  return () => {
    wx.offNetworkStatusChange?.(network);
    wx.offAppShow?.(show);
    wx.offAppHide?.(hide);
  };
}
