"""Publishes the known picture as H.264 and the known tone as Opus with FFmpeg's WHIP muxer.

Prints one JSON line when FFmpeg has the session up, and the number of frames sent every second. SIGINT ends it
with FFmpeg's own trailer (which sends DELETE); SIGKILL is the encoder that dies.
"""

import argparse
import json
import signal
import sys
import time

import av

import picture


def options(arguments):
    """What FFmpeg's WHIP muxer is told. Its own default certificate is on P-224 in some builds: the session needs P-256."""
    told = {"cert_file": arguments.cert, "key_file": arguments.key}
    if arguments.token:
        told["authorization"] = arguments.token
    return told


def open_streams(container, fps, gop, bitrate):
    video = container.add_stream("libx264", rate=fps)
    video.width, video.height, video.pix_fmt = picture.WIDTH, picture.HEIGHT, "yuv420p"
    video.bit_rate = bitrate
    video.gop_size = fps * gop  # FFmpeg answers no PLI: a viewer that joins waits for the next key frame.
    video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0",
                     "sc_threshold": "0"}
    audio = container.add_stream("libopus", rate=picture.SAMPLE_RATE, layout="stereo")
    return video, audio


def send_audio(container, audio, sent, until):
    """Sends 20 ms frames of the tone until `until` samples have gone; returns the new count."""
    while sent < until:
        frame = av.AudioFrame.from_ndarray(picture.tone(sent, 960), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = picture.SAMPLE_RATE, sent
        container.mux(audio.encode(frame))
        sent += 960
    return sent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--token")
    parser.add_argument("--left", default="red")
    parser.add_argument("--right", default="blue")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=1, help="seconds from one key frame to the next")
    parser.add_argument("--bitrate", type=int, default=1_200_000, help="bit/s")
    parser.add_argument("--snow", type=int, default=0, help="rows that are noise, so that the bitrate is used")
    parser.add_argument("--first", type=int, default=0, help="number of the first frame")
    arguments = parser.parse_args()

    stopping = []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
    container = av.open(arguments.url, "w", format="whip", options=options(arguments))
    video, audio = open_streams(container, arguments.fps, arguments.gop, arguments.bitrate)
    base = picture.background(arguments.left, arguments.right)
    container.start_encoding()
    print(json.dumps({"up": True}), flush=True)

    began, sent_audio, number = time.monotonic(), 0, 0
    while not stopping:
        frame = av.VideoFrame.from_ndarray(picture.picture(base, arguments.first + number, arguments.snow), format="rgb24")
        frame.pts = number
        container.mux(video.encode(frame.reformat(format="yuv420p")))
        number += 1
        sent_audio = send_audio(container, audio, sent_audio, number * picture.SAMPLE_RATE // arguments.fps)
        if number % arguments.fps == 0:
            print(json.dumps({"frames": number}), flush=True)
        time.sleep(max(0.0, began + number / arguments.fps - time.monotonic()))
    container.close()
    print(json.dumps({"closed": True}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
