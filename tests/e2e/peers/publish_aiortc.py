"""Publishes the known picture as VP8 or H.264 and the known tone as Opus with aiortc.

Prints {"up": true} when connected and the number of frames made every second. SIGINT sends DELETE.
"""

import argparse
import asyncio
import datetime
import fractions
import itertools
import json
import time

import av
from aiortc import MediaStreamTrack, RTCCertificate, RTCRtpSender
from aiortc.codecs.vpx import Vp8Encoder
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

import picture
import whip


class Picture(MediaStreamTrack):
    """The picture in real time."""

    kind = "video"

    def __init__(self, left, right, fps):
        super().__init__()
        self.base, self.fps, self.number, self.began = picture.background(left, right), fps, 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0.0, self.began + self.number / self.fps - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(picture.picture(self.base, self.number), format="rgb24")
        frame.pts, frame.time_base = self.number * 90_000 // self.fps, fractions.Fraction(1, 90_000)
        self.number += 1
        if self.number % self.fps == 0:
            print(json.dumps({"frames": self.number}), flush=True)
        return frame


class Tone(MediaStreamTrack):
    """The tone in real time, 20 ms a frame."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.sent, self.began = 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0.0, self.began + self.sent / picture.SAMPLE_RATE - time.monotonic()))
        frame = av.AudioFrame.from_ndarray(picture.tone(self.sent, 960), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = picture.SAMPLE_RATE, self.sent
        frame.time_base = fractions.Fraction(1, picture.SAMPLE_RATE)
        self.sent += 960
        return frame


def keep_to(frames):
    """Lets the VP8 encoder make a key frame every so many frames, and none when it is asked."""
    encode, count = Vp8Encoder.encode, itertools.count()
    Vp8Encoder.encode = lambda self, frame, asked=False: encode(self, frame, next(count) % frames == 0)


def rsa_certificate(kind):
    """A certificate as GStreamer before 1.24 makes it."""
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + datetime.timedelta(days=2))
    return kind(key, made.sign(key, hashes.SHA256()))


def prefer(transceiver, codec):
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in codecs if one.mimeType in (f"video/{codec}", "video/rtx")])


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--codec", default="VP8")
    parser.add_argument("--left", default="red")
    parser.add_argument("--right", default="blue")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, help="seconds between key frames, which are not made when asked for then")
    parser.add_argument("--certificate", choices=("ecdsa", "rsa"), default="ecdsa")
    arguments = parser.parse_args()

    if arguments.certificate == "rsa":
        RTCCertificate.generateCertificate = classmethod(rsa_certificate)
    if arguments.gop:
        keep_to(arguments.fps * arguments.gop)
    pc = whip.connection()
    prefer(pc.addTransceiver(Picture(arguments.left, arguments.right, arguments.fps), "sendonly"), arguments.codec)
    pc.addTransceiver(Tone(), "sendonly")
    stopping = whip.until_interrupted()
    location = await whip.exchange(pc, arguments.url, arguments.token)
    print(json.dumps({"up": True}), flush=True)
    await stopping.wait()
    print(json.dumps({"delete": whip.delete(arguments.url, location)}), flush=True)
    await pc.close()


asyncio.run(main())
