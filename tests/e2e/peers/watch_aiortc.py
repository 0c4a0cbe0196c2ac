"""Watches a WHEP stream with aiortc.

Prints {"up": true} when connected, then every half second what has come so far:
{"seen": {"video": frames, "audio": frames, "left": [r, g, b], "right": [r, g, b], "loudest": peak sample}}.
"""

import argparse
import asyncio
import json

import numpy as np
from aiortc import rtcdtlstransport
from aiortc.mediastreams import MediaStreamError

import whip


async def count_video(track, seen):
    while True:
        frame = await track.recv()
        seen["video"] += 1
        image = frame.to_ndarray(format="rgb24")
        height, width = image.shape[:2]
        seen["left"] = image[height * 2 // 5, width // 4].tolist()
        seen["right"] = image[height * 2 // 5, width * 3 // 4].tolist()


async def count_audio(track, seen):
    while True:
        frame = await track.recv()
        seen["audio"] += 1
        seen["loudest"] = int(np.abs(frame.to_ndarray().astype(np.int32)).max())


async def until_over(reading):
    try:
        await reading
    except MediaStreamError:
        print(json.dumps({"over": True}), flush=True)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--srtp", help="the only SRTP profile that is offered, by its name in RFC 5764 and RFC 7714")
    arguments = parser.parse_args()

    if arguments.srtp:
        offered = rtcdtlstransport.SRTP_PROFILES
        offered[:] = [one for one in offered if one.openssl_profile == arguments.srtp.encode()]
        assert offered, f"aiortc has no {arguments.srtp}"

    pc = whip.connection()
    pc.addTransceiver("video", "recvonly")
    pc.addTransceiver("audio", "recvonly")
    seen = {"video": 0, "audio": 0, "left": None, "right": None, "loudest": 0}
    readers = []

    @pc.on("track")
    def track(one):
        read = count_video if one.kind == "video" else count_audio
        readers.append(asyncio.ensure_future(until_over(read(one, seen))))

    stopping = whip.until_interrupted()
    location = await whip.exchange(pc, arguments.url, arguments.token)
    print(json.dumps({"up": True}), flush=True)
    while not stopping.is_set():
        await asyncio.sleep(0.5)
        print(json.dumps({"seen": seen}), flush=True)
    print(json.dumps({"delete": whip.delete(arguments.url, location)}), flush=True)
    await pc.close()


asyncio.run(main())
