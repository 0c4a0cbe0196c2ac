//! What header extensions say at the publisher's end and at the subscriber's, each with numbers of its own.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::World;
use common::media::FRAME;
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;
use str0m::media::{ExtensionValues, MediaTime};
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, VideoOrientation};

const DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const LAYERS: &str = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00";
const BOTH: &str = "urn:example:both";
const ONE: &str = "urn:example:one";

/// Bytes of extensions, by their URIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Raw(BTreeMap<&'static str, Vec<u8>>);

#[derive(Debug)]
struct Bytes(&'static str);

impl ExtensionSerializer for Bytes {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(bytes) = values.user_values.get::<Raw>().and_then(|raw| raw.0.get(self.0)) else { return 0 };
        buffer[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        let mut raw = values.user_values.get::<Raw>().cloned().unwrap_or_default();
        raw.0.insert(self.0, bytes.to_vec());
        values.user_values.set(raw);
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        let raw = values.user_values.get::<Raw>();
        raw.and_then(|raw| raw.0.get(self.0)).is_some_and(|bytes| bytes.len() > 16)
    }
}

fn map(numbers: &[(u8, Extension)], raw: &[(u8, &'static str)]) -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    numbers.iter().for_each(|(number, extension)| map.set(*number, extension.clone()));
    raw.iter().for_each(|(number, uri)| map.set(*number, Extension::with_serializer(uri, Bytes(uri))));
    map
}

/// A publisher and a viewer that number what they know differently.
fn ends() -> [ExtensionMap; 2] {
    let known = |numbers: [u8; 5]| {
        let [mid, time, transport, orientation, delay] = numbers;
        [
            (mid, Extension::RtpMid),
            (time, Extension::AbsoluteSendTime),
            (transport, Extension::TransportSequenceNumber),
            (orientation, Extension::VideoOrientation),
            (delay, Extension::PlayoutDelay),
        ]
    };
    [
        map(&known([1, 2, 3, 4, 5]), &[(6, DESCRIPTOR), (7, LAYERS), (8, BOTH), (9, ONE)]),
        map(&known([9, 8, 7, 6, 5]), &[(4, DESCRIPTOR), (3, LAYERS), (2, BOTH)]),
    ]
}

/// An AV1 frame in one packet: a sequence header stands for a key frame.
fn av1(keyframe: bool) -> Vec<u8> {
    let mut payload = if keyframe { vec![0x18, 0x08] } else { vec![0x10, 0x30] };
    payload.resize(100, 0);
    payload
}

fn values(raw: &[(&'static str, &[u8])]) -> ExtensionValues {
    let mut values = ExtensionValues {
        video_orientation: Some(VideoOrientation::Deg90),
        play_delay_min: Some(MediaTime::from_hundredths(0)),
        play_delay_max: Some(MediaTime::from_hundredths(0x123)),
        ..ExtensionValues::default()
    };
    values.user_values.set(Raw(raw.iter().map(|(uri, bytes)| (*uri, bytes.to_vec())).collect()));
    values
}

/// Sends a frame with these extensions, and returns what the viewer gets.
fn send(world: &mut World, frame: u32, raw: &[(&'static str, &[u8])]) -> ExtensionValues {
    let (now, publisher) = (world.now, &mut world.clients[0]);
    let video = publisher.video;
    publisher.send_with(now, video, frame * 3_150, true, &av1(frame == 0), values(raw));
    world.run(FRAME);
    let received = world.clients[1].received_video();
    received.last().expect("it is forwarded").header.ext_vals.clone()
}

fn raw(values: &ExtensionValues) -> BTreeMap<&'static str, Vec<u8>> {
    values.user_values.get::<Raw>().cloned().unwrap_or_default().0
}

fn world() -> World {
    let [publishers, viewers] = ends();
    let mut world = World::new();
    world.extensions = publishers;
    let (_, publisher) = world.join(Role::Publish, &[Codec::Av1]);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    // The publisher's transport-wide numbers are ahead of those of whoever comes later.
    for packet in 0..40 {
        let (now, client) = (world.now, &mut world.clients[0]);
        let audio = client.audio;
        client.send(now, audio, packet * 960, false, &[0xfc, 0xff, 0xfe]);
        world.run(Duration::from_millis(20));
    }
    world.extensions = viewers;
    let (_, viewer) = world.join(Role::Watch, &[Codec::Av1]);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    world
}

#[test]
fn what_a_publisher_says_reaches_the_viewer_under_its_own_numbers() {
    let mut world = world();
    // One temporal layer of one stream; a message of 20 bytes takes the two-byte form.
    let long = [7; 20];
    let said: [(&str, &[u8]); 3] = [(LAYERS, &[1, 0, 100]), (BOTH, &long), (ONE, &[1])];
    let got = send(&mut world, 0, &said);
    assert_eq!(got.video_orientation, Some(VideoOrientation::Deg90));
    assert_eq!(got.play_delay_min, Some(MediaTime::from_hundredths(0)));
    assert_eq!(got.play_delay_max, Some(MediaTime::from_hundredths(0x123)));
    assert_eq!(
        raw(&got),
        BTreeMap::from([(LAYERS, vec![1, 0, 100]), (BOTH, long.to_vec())]),
        "the viewer knows no other"
    );
    let got = send(&mut world, 1, &[]);
    assert_eq!(raw(&got), BTreeMap::new());
}

#[test]
fn dependency_descriptors_come_with_av1() {
    let mut world = world();
    // The first and last packet of frame 5, template 0, with a structure of one template (no decode targets to speak of).
    send(&mut world, 0, &[]);
    let got = send(&mut world, 1, &[(DESCRIPTOR, &[0xc0, 0, 5])]);
    let descriptor = raw(&got).remove(DESCRIPTOR).expect("it is passed on");
    assert_eq!((descriptor.len(), descriptor[0]), (3, 0xc0));
}

#[test]
fn what_belongs_to_one_hop_is_written_anew() {
    let mut world = world();
    let mid = world.clients[1].video;
    let mut numbers = Vec::new();
    for frame in 0..5 {
        let values = send(&mut world, frame, &[]);
        assert_eq!(values.mid, Some(mid));
        assert!(values.abs_send_time.is_some());
        numbers.push(values.transport_cc.expect("it is numbered"));
    }
    let first = numbers[0];
    assert_eq!(numbers, (first..first + 5).collect::<Vec<_>>());
    assert!(first < 40, "the publisher's numbers are beyond {first}");
}
