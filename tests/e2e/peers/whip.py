"""The HTTP half of WHIP and WHEP for the aiortc peers."""

import asyncio
import http.client
import signal
import urllib.parse

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription


def connection():
    """A peer connection that asks nobody outside for its addresses."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def post(url, offer, token):
    """POSTs the offer; returns (status, headers, body)."""
    where = urllib.parse.urlsplit(url)
    headers = {"Content-Type": "application/sdp"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    http_connection = http.client.HTTPConnection(where.netloc, timeout=10)
    http_connection.request("POST", where.path, offer, headers)
    reply = http_connection.getresponse()
    return reply.status, reply.headers, reply.read().decode()


def delete(url, location):
    where = urllib.parse.urlsplit(urllib.parse.urljoin(url, location))
    http_connection = http.client.HTTPConnection(where.netloc, timeout=10)
    http_connection.request("DELETE", where.path)
    return http_connection.getresponse().status


async def exchange(pc, url, token=None):
    """Offers, takes the answer, waits until connected; returns the session's Location."""
    connected = asyncio.Event()

    @pc.on("connectionstatechange")
    def changed():
        if pc.connectionState == "connected":
            connected.set()

    await pc.setLocalDescription(await pc.createOffer())
    status, headers, body = await asyncio.to_thread(post, url, pc.localDescription.sdp, token)
    if status != 201:
        raise SystemExit(f"{url} answered {status}: {body}")
    await pc.setRemoteDescription(RTCSessionDescription(body, "answer"))
    await asyncio.wait_for(connected.wait(), 10)
    return headers["Location"]


def until_interrupted():
    """An event that SIGINT sets."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopping.set)
    return stopping
