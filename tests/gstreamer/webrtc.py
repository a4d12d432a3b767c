#!/usr/bin/python3
"""GStreamer's webrtcbin as a client of WHEP and WHIP.

    webrtc.py play URL VIDEO FRAMES PEM      until FRAMES pictures and some sound have been decoded
    webrtc.py publish URL VIDEO SECONDS PEM  a picture of bars and a tone

VIDEO is the codec: H264, H265 or VP9. PEM is a file with a certificate and its key. The last line on
stdout is JSON: what was seen or sent. stderr has the states of the connection as they come, and what
libraries complain about.
"""

import hashlib
import json
import pathlib
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PATIENCE = 40

DECODERS = {
    "H264": "rtph264depay ! h264parse ! avdec_h264",
    "H265": "rtph265depay ! h265parse ! avdec_h265",
    "VP9": "rtpvp9depay ! vp9dec",
    "OPUS": "rtpopusdepay ! opusdec",
}
ENCODERS = {
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile=baseline"
    " ! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
    "H265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! rtph265pay config-interval=-1",
    "VP9": "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp9pay",
}


def caps(video):
    return (
        f"application/x-rtp,media=video,encoding-name={video},clock-rate=90000,payload=96"
        + (",packetization-mode=(string)1" if video == "H264" else ""),
        "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=97",
    )


class Client:
    def __init__(self, role, url, video, goal, pem):
        self.role, self.url, self.video, self.goal = role, url, video, int(goal)
        self.loop = GLib.MainLoop()
        self.seen = {"video": 0, "audio": 0, "codecs": [], "colour": None, "loudness": 0}
        self.session = None
        self.pipeline = Gst.Pipeline.new()
        self.rtc = Gst.ElementFactory.make("webrtcbin")
        self.rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pem = pathlib.Path(pem).read_text()
        self.rtc.connect("deep-element-added", self.certify)
        self.pipeline.add(self.rtc)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.on_error)
        self.rtc.connect("notify::connection-state", self.on_state)
        if role == "play":
            self.rtc.connect("pad-added", self.on_pad)
            for one in caps(video):
                self.rtc.emit(
                    "add-transceiver",
                    GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY,
                    Gst.Caps.from_string(one),
                )
        else:
            self.send()

    def certify(self, _rtc, _bin, element):
        if element.__gtype__.name == "GstDtlsDec":
            element.set_property("pem", self.pem)

    def send(self):
        video, audio = caps(self.video)
        self.add(
            f"videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1 ! videoconvert"
            f" ! {ENCODERS[self.video]} ! {video} ! queue"
        )
        self.add(
            f"audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay"
            f" ! {audio} ! queue"
        )
        for index in range(2):
            transceiver = self.rtc.emit("get-transceiver", index)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)

    def add(self, description, pad=None):
        part = Gst.parse_bin_from_description(description, True)
        self.pipeline.add(part)
        if pad:
            pad.link(part.get_static_pad("sink"))
        else:
            part.link(self.rtc)
        part.sync_state_with_parent()
        return part

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.idle_add(self.post)
        GLib.timeout_add_seconds(PATIENCE, self.stop)
        self.loop.run()
        if self.session:
            request = urllib.request.Request(self.session, method="DELETE")
            self.seen["ended"] = urllib.request.urlopen(request, timeout=5).status
        self.pipeline.set_state(Gst.State.NULL)
        return self.seen

    def stop(self):
        self.loop.quit()
        return False

    def on_error(self, _bus, message):
        self.seen["error"] = str(message.parse_error())
        self.loop.quit()

    def on_state(self, rtc, _):
        state = rtc.get_property("connection-state").value_nick
        self.seen["state"] = state
        print("state:", state, file=sys.stderr, flush=True)
        if state == "connected" and self.role == "publish":
            GLib.timeout_add_seconds(self.goal, self.stop)
        if state in ("failed", "closed"):
            self.stop()

    def post(self):
        # The node needs no candidates: it is ICE-lite.
        promise = Gst.Promise.new()
        self.rtc.emit("create-offer", None, promise)
        promise.wait()
        reply = promise.get_reply()
        described = reply.get_value("offer")
        self.rtc.emit("set-local-description", described, Gst.Promise.new())
        # webrtcbin takes the key behind a certificate for a part of it.
        certificate = self.pem.partition("-----BEGIN PRIVATE")[0]
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest().hex(":").upper()
        offer = re.sub("sha-256 [0-9A-F:]+", f"sha-256 {digest}", described.sdp.as_text())
        self.seen["offer"] = offer
        request = urllib.request.Request(
            self.url, data=offer.encode(), headers={"Content-Type": "application/sdp"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                self.seen["status"] = response.status
                self.session = urllib.parse.urljoin(self.url, response.headers["Location"])
                text = response.read()
        except urllib.error.HTTPError as error:
            self.seen["status"], self.seen["body"] = error.code, json.load(error)
            return self.stop()
        self.seen["answer"] = text.decode()
        _, sdp = GstSdp.SDPMessage.new_from_text(text.decode())
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.rtc.emit("set-remote-description", answer, Gst.Promise.new())
        return False

    def on_pad(self, _rtc, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        structure = pad.get_current_caps().get_structure(0)
        kind, codec = structure.get_string("media"), structure.get_string("encoding-name")
        self.seen["codecs"].append(codec)
        raw = "videoconvert ! video/x-raw,format=RGB" if kind == "video" else "audioconvert ! audio/x-raw,format=S16LE"
        part = self.add(f"queue ! {DECODERS[codec]} ! {raw} ! appsink name={kind} sync=false emit-signals=true", pad)
        part.get_by_name(kind).connect("new-sample", self.on_sample, kind)

    def on_sample(self, sink, kind):
        sample = sink.emit("pull-sample")
        self.seen[kind] += 1
        ok, data = sample.get_buffer().map(Gst.MapFlags.READ)
        if ok:
            if kind == "video":
                shape = sample.get_caps().get_structure(0)
                self.seen["size"] = [shape.get_value("width"), shape.get_value("height")]
                middle = len(data.data) // 6 * 3
                self.seen["colour"] = list(data.data[middle:middle + 3])
            else:
                samples = memoryview(data.data).cast("h")
                self.seen["loudness"] = max(self.seen["loudness"], *map(abs, samples[:64]))
            sample.get_buffer().unmap(data)
        if self.seen["video"] >= self.goal and self.seen["audio"] >= 20:
            GLib.idle_add(self.stop)
        return Gst.FlowReturn.OK


Gst.init(None)
# libnice gives up after two seconds without an answer, which a busy machine may take.
for _ in range(4):
    seen = Client(*sys.argv[1:]).run()
    if seen.get("state") != "failed":
        break
print(json.dumps(seen))
