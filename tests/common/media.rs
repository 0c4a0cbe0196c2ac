//! Media as test publishers make it: a frame in a packet, with a number by which it is known again.

use std::time::Duration;

use sluice::sfu::CoreEvent;
use sluice::sfu::session::EndReason;
use str0m::rtp::RtpPacket;

use super::{Joined, World};

pub const FRAME: Duration = Duration::from_millis(35);

/// A VP8 frame in one packet: 15 bit picture id, TL0PICIDX, and a number by which it is known again.
pub fn vp8(keyframe: bool, picture_id: u16, number: u8) -> Vec<u8> {
    let [high, low] = picture_id.to_be_bytes();
    let mut payload = vec![0x90, 0xe0, 0x80 | high, low, 7, 0x20, u8::from(!keyframe)];
    payload.resize(200, number);
    payload
}

/// An H.264 frame in one packet: parameter sets stand for a key frame, a slice for any other.
pub fn h264(keyframe: bool, number: u8) -> Vec<u8> {
    let mut payload = vec![if keyframe { 0x67 } else { 0x41 }];
    payload.resize(200, number);
    payload
}

pub fn number(packet: &RtpPacket) -> u8 {
    *packet.payload.last().expect("not empty")
}

pub fn picture_id(packet: &RtpPacket) -> u16 {
    u16::from_be_bytes([packet.payload[2] & 0x7f, packet.payload[3]])
}

/// Publishes `frames` from the client at `place`; the first is a key frame.
pub fn publish(world: &mut World, place: usize, frames: std::ops::Range<u8>, first_picture_id: u16) {
    let first = frames.start;
    for frame in frames {
        let (now, client) = (world.now, &mut world.clients[place]);
        let video = client.video;
        let picture = first_picture_id + u16::from(frame - first);
        client.send(now, video, u32::from(frame) * 3_150, true, &vp8(frame == first, picture, frame));
        world.run(FRAME);
    }
}

pub fn numbers(world: &World, place: usize) -> Vec<u8> {
    world.clients[place].received_video().into_iter().map(number).collect()
}

pub fn ended(world: &World, joined: &Joined) -> Option<EndReason> {
    world.events.iter().find_map(|event| match event {
        CoreEvent::Ended(id, reason) if *id == joined.session => Some(*reason),
        _ => None,
    })
}
