// The same through `require`.
import lockgate = require("lockgate-sdk");

const client = new lockgate.Client();
client.publish("all", (url) => url.length);
const code: number = lockgate.ErrorCode.TIMEOUT;
new lockgate.default.Client();

export { code };
