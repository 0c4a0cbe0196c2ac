"""Sends hostile datagrams to a media port, from many addresses: whatever strangers send who know no secret.

Prints {"flooding": true} when it begins, and at the end {"sent": datagrams, "sent_bytes": bytes, "replies": datagrams,
"reply_bytes": bytes}.
"""

import argparse
import json
import random
import select
import socket
import struct
import time
import zlib

BINDING, ALLOCATE = 0x0001, 0x0003
USERNAME, INTEGRITY, REALM, NONCE, TRANSPORT, PRIORITY, FINGERPRINT = 0x06, 0x08, 0x14, 0x15, 0x19, 0x24, 0x8028
COOKIE = 0x2112A442
DIFFERENT = 500


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def stun(method, *attributes):
    body = b"".join(attributes)
    head = struct.pack("!HHI", method, len(body) + 8, COOKIE) + random.randbytes(12)
    return head + body + attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(head + body) ^ 0x5354554E))


def check(ufrag):
    name = attribute(USERNAME, ufrag + b":abcd")
    priority = attribute(PRIORITY, b"\x6e\x00\x1e\xff")
    return stun(BINDING, name, priority, attribute(INTEGRITY, random.randbytes(20)))


def wrong_password():
    names = attribute(USERNAME, b"somebody"), attribute(REALM, b"sluice"), attribute(NONCE, b"obMatJos2AAABxxxxxxxxxxxxxxxx")
    return stun(ALLOCATE, attribute(TRANSPORT, b"\x11\0\0\0"), *names, attribute(INTEGRITY, random.randbytes(20)))


def kinds(ufrag):
    return [
        lambda: random.randbytes(random.randint(1, 1200)),
        lambda: stun(BINDING),
        lambda: check(b"AAA" + bytes(random.choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=13))),
        lambda: check(ufrag),
        lambda: stun(ALLOCATE, attribute(TRANSPORT, b"\x11\0\0\0")),
        wrong_password,
        # DTLS: a handshake record of nonsense, and an alert.
        lambda: b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", 180) + random.randbytes(180),
        lambda: b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28",
        lambda: b"\x80\x60" + random.randbytes(1000),
        lambda: b"\x81\xc9\x00\x07" + random.randbytes(42),
        # TURN ChannelData.
        lambda: b"\x40\x00\x00\xc8" + random.randbytes(200),
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("--port", type=int, default=3478)
    parser.add_argument("--ufrag", required=True)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--sources", nargs="+", required=True)
    words = parser.parse_args()
    random.seed(1)
    datagrams = [kind() for _ in range(DIFFERENT) for kind in kinds(words.ufrag.encode())]
    sockets = []
    for source in words.sources:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.bind((source, 0))
        one.connect((words.server, words.port))
        sockets.append(one)

    total = {"sent": 0, "sent_bytes": 0, "replies": 0, "reply_bytes": 0}
    print(json.dumps({"flooding": True}), flush=True)
    began, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < words.seconds:
        # What could not be sent in time is not made up for in one go.
        for _ in range(min(int(elapsed * words.rate) - sent, 1000)):
            datagram = datagrams[sent % len(datagrams)]
            try:
                total["sent_bytes"] += sockets[sent % len(sockets)].send(datagram)
                total["sent"] += 1
            except OSError:
                pass
            sent += 1
        for one in select.select(sockets, [], [], 0.001)[0]:
            try:
                total["reply_bytes"] += len(one.recv(2048))
                total["replies"] += 1
            except OSError:
                pass
    print(json.dumps(total), flush=True)


main()
