// Builds tokens with the packages from npm, as an app's server does: takes requests as a JSON list
// in the first argument, prints the tokens as a JSON list. Times are seconds from now, 0 for never.
'use strict';
const path = require('path');
const { createRequire } = require('module');
// The packages are installed beside the build's output, not beside this file.
const load = createRequire(path.resolve(process.argv[2], 'index.js'));
const access = load('agora-access-token');
const token = load('agora-token');

const now = () => Math.floor(Date.now() / 1000);

function build({ builder, app, certificate, channel, uid, publisher, expire }) {
  const account = typeof uid === 'string';
  if (builder === 'agora-access-token') {
    const { RtcTokenBuilder: b, RtcRole: role } = access;
    const until = expire === 0 ? 0 : now() + expire;
    const as = publisher ? role.PUBLISHER : role.SUBSCRIBER;
    return (account ? b.buildTokenWithAccount : b.buildTokenWithUid).call(b, app, certificate, channel, uid, as, until);
  }
  const { RtcTokenBuilder: b, RtcRole: role } = token;
  const as = publisher ? role.PUBLISHER : role.SUBSCRIBER;
  if (builder === 'agora-token with messages') {
    return b.buildTokenWithRtm(app, certificate, channel, String(uid), as, expire, expire);
  }
  if (builder === 'agora-token by privilege') {
    const publish = publisher ? expire : 1;
    return b.buildTokenWithUidAndPrivilege(app, certificate, channel, uid, expire, expire, publish, publish, publish);
  }
  return (account ? b.buildTokenWithUserAccount : b.buildTokenWithUid).call(b, app, certificate, channel, uid, as, expire, expire);
}

console.log(JSON.stringify(JSON.parse(process.argv[3]).map(build)));
