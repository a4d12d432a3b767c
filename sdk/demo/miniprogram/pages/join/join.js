// 加入页：填写节点、应用、频道，选择角色。
const config = require("../../config");

const FIELDS = ["server", "port", "appId", "channel", "uid", "token"];

Page({
  data: {
    server: config.server,
    port: config.port,
    wss: config.wss,
    appId: config.appId,
    channel: config.channel,
    uid: "",
    token: config.token,
    audience: false,
  },

  onLoad() {
    const saved = wx.getStorageSync("join");
    if (saved) this.setData(saved);
  },

  onInput(e) {
    const { field } = e.currentTarget.dataset;
    if (FIELDS.indexOf(field) >= 0) this.setData({ [field]: e.detail.value });
  },

  onWss(e) {
    this.setData({ wss: e.detail.value });
  },

  onAudience(e) {
    this.setData({ audience: e.detail.value });
  },

  onJoin() {
    const { server, port, wss, appId, channel, uid, token, audience } = this.data;
    if (!server || !appId || !channel) {
      wx.showToast({ title: "请填写节点、应用和频道", icon: "none" });
      return;
    }
    const wanted = {
      server,
      port: Number(port),
      wss,
      appId,
      channel,
      // 全是数字的用户 ID 按数字处理；留空则由节点分配。
      uid: /^[1-9][0-9]{0,9}$/.test(uid) ? Number(uid) : uid,
      token,
      audience,
    };
    wx.setStorageSync("join", { server, port, wss, appId, channel, uid, audience });
    getApp().globalData.join = wanted;
    wx.navigateTo({ url: "/pages/meeting/meeting" });
  },
});
