"""Builds tokens with the package from PyPI, as an app's server does.

Takes requests as a JSON list in the first argument, prints the tokens as a JSON list. Times are
seconds from now, 0 for never.
"""
import json
import sys
import time

from agora_token_builder import RtcTokenBuilder
from agora_token_builder.RtcTokenBuilder import Role_Publisher, Role_Subscriber


def build(request):
    role = Role_Publisher if request["publisher"] else Role_Subscriber
    until = int(time.time()) + request["expire"] if request["expire"] else 0
    return RtcTokenBuilder.buildTokenWithAccount(
        request["app"], request["certificate"], request["channel"], request["uid"], role, until
    )


print(json.dumps([build(request) for request in json.loads(sys.argv[1])]))
