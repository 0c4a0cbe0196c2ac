"""How schemathesis writes SDP: real offers whose lines are left out, doubled, swapped and spoilt."""

from pathlib import Path

import schemathesis
from hypothesis import strategies as st

OFFERS = Path(__file__).parents[2] / "fixtures" / "offers"
SPOILT = ["", "m=audio", "a=mid:", "v=0", "a=ice-ufrag:new1", "a=ice-pwd:another-password-of-31-letters", "\0", "a=rid:" + "x" * 300]


@st.composite
def spoilt(draw, lines):
    lines = list(lines)
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["leave out", "double", "swap", "spoil", "cut"]))
        if change == "leave out" and len(lines) > 1:
            lines.pop(place)
        elif change == "double":
            lines.insert(place, lines[place])
        elif change == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
        elif change == "spoil":
            lines[place] = draw(st.sampled_from(SPOILT))
        else:
            lines[place] = lines[place][: draw(st.integers(0, 12))]
    return "\r\n".join(lines) + "\r\n"


def lines_of(name):
    return (OFFERS / name).read_text().splitlines()


schemathesis.openapi.format(
    "sdp",
    st.one_of(*(spoilt(lines_of(name)) for name in ["publish/obs-simulcast-h264.sdp", "publish/chromium-vp8.sdp", "play/chromium.sdp"])),
)
schemathesis.openapi.format(
    "sdp-fragment",
    spoilt(["a=ice-ufrag:new1", "a=ice-pwd:another-password-of-31-letters", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", "a=candidate:1 1 udp 1 192.0.2.9 5 typ host"]),
)


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def as_text(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
