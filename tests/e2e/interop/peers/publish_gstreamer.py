"""Publishes a picture that is red on the left and blue on the right, and a tone, by GStreamer's webrtcbin.

Prints {"up": true} when connected. Runs with the Python and the GStreamer of the Debian folder.
"""

import argparse
import json
import os
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

HALF = "videotestsrc is-live=true pattern=solid-color foreground-color={} ! video/x-raw,width=320,height=360,framerate=25/1 ! mix."
VIDEO = {
    "VP8": "vp8enc deadline=1 cpu-used=8 target-bitrate=1000000 keyframe-max-dist=250 ! rtpvp8pay",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=1000 key-int-max=250 ! "
            "video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
}
PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
compositor name=mix sink_0::xpos=0 sink_1::xpos=320 ! videoconvert ! video/x-raw,format=I420 ! queue ! {video} !
    application/x-rtp,media=video,encoding-name={codec},payload=96 ! peer.
{left} {right}
audiotestsrc is-live=true freq=440 volume=0.2 ! audioconvert ! audio/x-raw,channels=2 ! opusenc ! rtpopuspay !
    application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""


def post(url, offer):
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def description(kind, text):
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(kind, message)


def offer_when_gathered(peer, url):
    """Offers once; posts what was gathered, and takes the answer."""

    def made(promise, *_):
        reply = promise.get_reply()  # What it holds is gone with it.
        offer = reply.get_value("offer")
        peer.emit("set-local-description", offer, Gst.Promise.new())

    def gathered(*_):
        if peer.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        answer = post(url, peer.get_property("local-description").sdp.as_text())
        peer.emit("set-remote-description", description(GstWebRTC.WebRTCSDPType.ANSWER, answer), Gst.Promise.new())

    def connected(*_):
        if peer.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            print(json.dumps({"up": True}), flush=True)

    peer.connect("notify::ice-gathering-state", gathered)
    peer.connect("notify::connection-state", connected)
    return lambda *_: peer.emit("create-offer", None, Gst.Promise.new_with_change_func(made))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--codec", choices=VIDEO, default="VP8")
    arguments = parser.parse_args()

    Gst.init(None)
    halves = {"left": HALF.format(0xFFE02020), "right": HALF.format(0xFF2020E0)}
    pipeline = Gst.parse_launch(PIPELINE.format(video=VIDEO[arguments.codec], codec=arguments.codec, **halves))
    peer = pipeline.get_by_name("peer")
    for place in range(2):
        peer.emit("get-transceiver", place).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
    peer.connect("on-negotiation-needed", offer_when_gathered(peer, arguments.url))
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: (print(message.parse_error(), flush=True), os._exit(1)))
    pipeline.set_state(Gst.State.PLAYING)
    GLib.MainLoop().run()


main()
