// 会议页：推自己的流，拉别人的流，静音自己或别人，在主播与观众之间切换。
const Lockgate = require("../../lib/lockgate");

const STATES = {
  DISCONNECTED: "已断开",
  CONNECTING: "连接中…",
  CONNECTED: "已连接",
  RECONNECTING: "网络不稳定，重连中…",
  DISCONNECTING: "正在离开…",
};

Page({
  data: {
    uid: "",
    state: STATES.CONNECTING,
    audience: false,
    pushUrl: "",
    mic: true,
    camera: true,
    // 每一项：uid、拉流地址、对方是否在发送音视频、自己是否不接收对方的音视频。
    members: [],
  },

  onLoad() {
    wx.setKeepScreenOn({ keepScreenOn: true });
    const join = getApp().globalData.join;
    this.client = new Lockgate.Client();
    this.listen();
    this.enter(join);
  },

  onUnload() {
    // 销毁前会先离开频道。
    this.client.destroy(
      () => {},
      () => {},
    );
  },

  enter(join) {
    const { client } = this;
    client.setParameters({
      ConfPriCloudAddr: { ServerAdd: join.server, Port: join.port, Wss: join.wss },
    });
    this.setData({ audience: join.audience });
    // 观众要在加入之前设置角色。
    client
      .setRole(join.audience ? "audience" : "broadcaster")
      .then(() => client.init(join.appId))
      .then(() => client.join(join.token, join.channel, join.uid))
      .then((uid) => {
        this.setData({ uid });
        return join.audience ? undefined : this.publish();
      })
      .catch((err) => this.fail("加入失败", err));
  },

  listen() {
    const { client } = this;
    client.on("stream-added", ({ uid }) => this.subscribe(uid));
    client.on("stream-removed", ({ uid }) => {
      this.setData({ members: this.data.members.filter((member) => member.uid !== uid) });
    });
    client.on("mute-audio", ({ uid }) => this.update(uid, { audio: false }));
    client.on("unmute-audio", ({ uid }) => this.update(uid, { audio: true }));
    client.on("mute-video", ({ uid }) => this.update(uid, { video: false }));
    client.on("unmute-video", ({ uid }) => this.update(uid, { video: true }));
    client.on("video-rotation", ({ uid, rotation }) => this.update(uid, { rotation }));
    client.on("update-url", ({ uid, url }) => {
      if (uid === this.data.uid) this.push(url);
      else this.update(uid, { url });
    });
    client.on("connection-state-change", (current, previous, reason) => {
      this.setData({ state: STATES[current] });
      if (current === "DISCONNECTED" && reason !== "LEAVE") this.setData({ pushUrl: "", members: [] });
    });
    client.on("token-privilege-will-expire", () => {
      // 正式的小程序在这里向自己的服务端申请新的 Token，再调用 client.renewToken(token)。
      wx.showToast({ title: "Token 即将过期", icon: "none" });
    });
    client.on("token-privilege-did-expire", () => {
      wx.showToast({ title: "Token 已过期", icon: "none" });
    });
    client.on("error", (err) => this.fail("出错", err));
  },

  // 推流

  publish() {
    return this.client.publish().then((url) => this.push(url));
  },

  push(url) {
    this.setData({ pushUrl: url }, () => {
      // 地址变了，重新开始推流。
      const pusher = wx.createLivePusherContext();
      pusher.stop({ complete: () => pusher.start() });
    });
  },

  onMic() {
    const mic = !this.data.mic;
    const done = () => this.setData({ mic });
    const failed = (err) => this.fail("操作失败", err);
    if (mic) this.client.unmuteLocal("audio", done, failed);
    else this.client.muteLocal("audio", done, failed);
  },

  onCamera() {
    const camera = !this.data.camera;
    const done = () => this.setData({ camera });
    const failed = (err) => this.fail("操作失败", err);
    if (camera) this.client.unmuteLocal("video", done, failed);
    else this.client.muteLocal("video", done, failed);
  },

  onSwitchCamera() {
    wx.createLivePusherContext().switchCamera();
  },

  onRole() {
    const audience = !this.data.audience;
    this.client
      .setRole(audience ? "audience" : "broadcaster")
      .then(() => {
        // 成为观众后原来的推流地址失效。
        this.setData({ audience, pushUrl: "" });
        return audience ? undefined : this.publish();
      })
      .catch((err) => this.fail("切换失败", err));
  },

  // 拉流

  subscribe(uid) {
    const member = { uid, url: "", rotation: 0, audio: true, video: true, deaf: false, blind: false };
    this.setData({ members: this.data.members.concat(member) });
    this.client
      .subscribe(uid)
      .then(({ url, rotation }) => this.update(uid, { url, rotation }))
      .catch((err) => this.fail(`无法观看 ${uid}`, err));
  },

  update(uid, changes) {
    this.setData({
      members: this.data.members.map((member) =>
        member.uid === uid ? Object.assign({}, member, changes) : member,
      ),
    });
  },

  replay(uid) {
    const player = wx.createLivePlayerContext(`player-${uid}`);
    player.stop({ complete: () => player.play() });
  },

  onDeafen(e) {
    this.turn(e, "audio", "deaf");
  },

  onBlind(e) {
    this.turn(e, "video", "blind");
  },

  // 不接收，或恢复接收某人的音频或视频。
  turn(e, target, name) {
    const member = this.data.members[e.currentTarget.dataset.index];
    if (!member) return;
    const off = !member[name];
    this.client[off ? "mute" : "unmute"](
      member.uid,
      target,
      () => this.update(member.uid, { [name]: off }),
      (err) => this.fail("操作失败", err),
    );
  },

  onLeave() {
    wx.navigateBack();
  },

  // 组件的状态交给 SDK 上报，节点据此把两端的情况放在一起看。

  onPusherState(e) {
    if (!this.data.pushUrl) return;
    this.client.updatePusherStateChange(e);
    // 组件自己重试多次仍未连上：地址依然有效，重新开始。
    if (e.detail.code === -1307) this.push(this.data.pushUrl);
  },

  onPusherError(e) {
    const denied = { 10001: "请允许使用摄像头", 10002: "请允许使用麦克风" }[e.detail.errCode];
    wx.showToast({ title: denied || "推流组件出错", icon: "none" });
  },

  onPusherNet(e) {
    if (this.data.pushUrl) this.client.updatePusherNetStatus(e);
  },

  onPlayerState(e) {
    const member = this.data.members[e.currentTarget.dataset.index];
    if (!member) return;
    this.client.updatePlayerStateChange(member.uid, e);
    if (e.detail.code === -2301) this.replay(member.uid);
  },

  onPlayerNet(e) {
    const member = this.data.members[e.currentTarget.dataset.index];
    if (member) this.client.updatePlayerNetStatus(member.uid, e);
  },

  fail(what, err) {
    wx.showToast({ title: `${what}：${err.reason}（${err.code}）`, icon: "none", duration: 3000 });
  },
});
