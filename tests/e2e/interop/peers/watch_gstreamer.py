"""Watches a WHEP stream by GStreamer's webrtcbin.

Prints {"seen": {"video": frames, "left": [r, g, b], "right": [r, g, b]}} every half second. Runs with the Python and the
GStreamer of the Debian folder.
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

CAPS = {
    "VP8": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
    "VP9": "application/x-rtp,media=video,encoding-name=VP9,payload=98,clock-rate=90000",
    "H264": "application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000,packetization-mode=(string)1,"
            "profile-level-id=(string)42e01f",
}
OPUS = "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2"
DECODER = {"VP8": "rtpvp8depay ! vp8dec", "VP9": "rtpvp9depay ! vp9dec", "H264": "rtph264depay ! h264parse ! openh264dec"}
SINK = "queue ! {} ! videoconvert ! videoscale ! video/x-raw,format=RGB,width=64,height=36 ! appsink name=end emit-signals=true sync=false"

seen = {"video": 0, "left": None, "right": None}


def post(url, offer):
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def picture(sink):
    """Takes note of a decoded picture."""
    buffer = sink.emit("pull-sample").get_buffer()
    _, mapped = buffer.map(Gst.MapFlags.READ)
    at = lambda x, y: list(mapped.data[(y * 64 + x) * 3:(y * 64 + x) * 3 + 3])  # noqa: E731
    seen["video"] += 1
    seen["left"], seen["right"] = at(16, 15), at(48, 15)
    buffer.unmap(mapped)
    return Gst.FlowReturn.OK


def play(pipeline, pad, codec):
    """Decodes what comes on a pad, if it is video."""
    if pad.direction != Gst.PadDirection.SRC:
        return
    is_video = pad.get_current_caps().get_structure(0).get_string("media") == "video"
    chain = Gst.parse_bin_from_description(SINK.format(DECODER[codec]) if is_video else "queue ! fakesink", True)
    if is_video:
        chain.get_by_name("end").connect("new-sample", picture)
    pipeline.add(chain)
    chain.sync_state_with_parent()
    pad.link(chain.get_static_pad("sink"))


def tell():
    print(json.dumps({"seen": seen}), flush=True)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--codec", choices=CAPS, default="VP8")
    arguments = parser.parse_args()

    Gst.init(None)
    pipeline = Gst.Pipeline.new()
    peer = Gst.ElementFactory.make("webrtcbin")
    peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(peer)
    for caps in (CAPS[arguments.codec], OPUS):
        receives = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        peer.emit("add-transceiver", receives, Gst.Caps.from_string(caps))

    def made(promise, *_):
        reply = promise.get_reply()  # What it holds is gone with it.
        offer = reply.get_value("offer")
        peer.emit("set-local-description", offer, Gst.Promise.new())

    def gathered(*_):
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            answer = post(arguments.url, peer.get_property("local-description").sdp.as_text())
            _, message = GstSdp.SDPMessage.new_from_text(answer)
            kind = GstWebRTC.WebRTCSDPType.ANSWER
            peer.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, message), Gst.Promise.new())

    peer.connect("notify::ice-gathering-state", gathered)
    peer.connect("pad-added", lambda _, pad: play(pipeline, pad, arguments.codec))
    pipeline.set_state(Gst.State.PLAYING)
    peer.emit("create-offer", None, Gst.Promise.new_with_change_func(made))
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: (print(message.parse_error(), flush=True), os._exit(1)))
    GLib.timeout_add(500, tell)
    GLib.MainLoop().run()


main()
