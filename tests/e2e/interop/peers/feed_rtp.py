"""The known picture as H.264 in several sizes, and the known tone as Opus, as plain RTP to UDP ports of this machine.

Who runs it sends that on: it is the encoder of publishers that bring none. It ends with its standard input.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "peers"))
import picture  # noqa: E402

FPS = 25


def video_to(port, part):
    """An encoder of the picture at one `part`th of its size whose packets go to a port."""
    container = av.open(f"rtp://127.0.0.1:{port}?pkt_size=1200", "w", format="rtp")
    stream = container.add_stream("libx264", rate=FPS)
    stream.width, stream.height, stream.pix_fmt = picture.WIDTH // part // 2 * 2, picture.HEIGHT // part // 2 * 2, "yuv420p"
    stream.bit_rate, stream.gop_size = 900_000 // part, FPS
    stream.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0", "sc_threshold": "0"}
    return container, stream


def audio_to(port):
    container = av.open(f"rtp://127.0.0.1:{port}", "w", format="rtp")
    return container, container.add_stream("libopus", rate=picture.SAMPLE_RATE, layout="stereo")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--audio", type=int, required=True, help="port")
    parser.add_argument("--video", type=int, nargs="+", required=True, help="ports, the smallest picture first")
    arguments = parser.parse_args()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()

    layers = [video_to(port, 2 ** place) for place, port in enumerate(reversed(arguments.video))]
    sound, tone = audio_to(arguments.audio)
    base = picture.background("red", "blue")
    began, sent, number = time.monotonic(), 0, 0
    while True:
        frame = av.VideoFrame.from_ndarray(picture.picture(base, number), format="rgb24")
        frame.pts = number
        for container, stream in layers:
            sized = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            container.mux(stream.encode(sized))
        number += 1
        while sent < number * picture.SAMPLE_RATE // FPS:
            samples = av.AudioFrame.from_ndarray(picture.tone(sent, 960), format="s16", layout="stereo")
            samples.sample_rate, samples.pts = picture.SAMPLE_RATE, sent
            sound.mux(tone.encode(samples))
            sent += 960
        time.sleep(max(0.0, began + number / FPS - time.monotonic()))


main()
