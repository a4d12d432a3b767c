// 节点的默认地址，可在加入页修改。
// 真机上小程序只能访问 https 与 wss（443 端口），请把 wss 设为 true，并在公众平台登记域名；
// 在开发者工具中可关闭“校验合法域名”，直接连接本机的 http 与 ws。
module.exports = {
  server: "127.0.0.1",
  port: 8080,
  wss: false,
  appId: "live",
  channel: "demo",
  token: "",
};
