//! A client-side peer connection while it is being negotiated.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use str0m::change::{SdpAnswer, SdpApi, SdpOffer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid, Pt, Simulcast, SimulcastLayer};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Rtc, RtcConfig};

use crate::hostile::Target;
use crate::media::VideoCodec;

/// Names of the simulcast layers, lowest first.
pub const RIDS: [&str; 3] = ["q", "h", "f"];

/// What all peers have in common.
#[derive(Clone)]
pub struct PeerOptions {
    pub crypto: Arc<CryptoProvider>,
    /// One certificate for all: making one per peer would cost the generator, not the server.
    pub cert: DtlsCert,
    /// None publishes and subscribes to audio only.
    pub video: Option<VideoCodec>,
    pub audio: bool,
    pub simulcast: bool,
    /// Offer every codec that a browser can decode, as participants of a room do.
    pub every_codec: bool,
    /// Offer transport-wide congestion control, as browsers do.
    pub twcc: bool,
    /// Print every SDP to standard error.
    pub show_sdp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    Publish,
    Subscribe,
}

/// Payload types after negotiation.
#[derive(Debug, Clone, Copy, Default)]
pub struct PayloadTypes {
    pub audio: Option<Pt>,
    pub video: Option<Pt>,
    pub rtx: Option<Pt>,
}

pub struct Peer {
    pub rtc: Rtc,
    pub ip: Ipv4Addr,
    pub audio: Option<Mid>,
    pub video: Option<Mid>,
    /// In a room: the sections in which others are seen.
    pub slots: Vec<Mid>,
    options: PeerOptions,
    direct: Direct,
    pending: Option<SdpPendingOffer>,
    /// What the server's answer tells of its end.
    pub target: Option<Target>,
}

impl Peer {
    pub fn new(options: &PeerOptions, direct: Direct, ip: Ipv4Addr, port: u16) -> Result<Peer> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(options.crypto.clone())
            .set_dtls_cert(options.cert.clone())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(options.audio, false)
            .set_rtcp_report_interval_audio(Duration::from_secs(5))
            .set_rtcp_report_interval_video(Duration::from_secs(1))
            .set_stats_interval(None);
        // Payload types and extension ids are mediasoup's: servers that dictate them are then served too.
        let codecs = config.codec_config();
        match options.video {
            Some(_) if options.every_codec => {
                codecs.enable_vp8(true);
                codecs.enable_vp9(true);
                codecs.enable_h264(true);
                codecs.enable_av1(true);
            }
            Some(VideoCodec::Vp8) => {
                let format = FormatParams::default();
                codecs.add_config(
                    96.into(),
                    Some(100.into()),
                    Codec::Vp8,
                    Frequency::NINETY_KHZ,
                    None,
                    format,
                );
            }
            // Constrained baseline 3.1, packetization mode 1: what every server takes.
            Some(VideoCodec::H264) => codecs.add_h264(108.into(), Some(101.into()), true, 0x42e01f),
            None => {}
        }
        let mut exts = ExtensionMap::empty();
        exts.set(1, Extension::RtpMid);
        exts.set(2, Extension::RtpStreamId);
        exts.set(3, Extension::RepairedRtpStreamId);
        exts.set(4, Extension::AbsoluteSendTime);
        if options.twcc {
            exts.set(5, Extension::TransportSequenceNumber);
        }
        exts.set(6, Extension::AudioLevel);
        config = config.set_extension_map(exts);

        let mut rtc = config.build(Instant::now());
        let addr = SocketAddr::from((ip, port));
        rtc.add_local_candidate(Candidate::host(addr, "udp")?).context("local candidate refused")?;
        Ok(Peer {
            rtc,
            ip,
            audio: None,
            video: None,
            slots: vec![],
            options: options.clone(),
            direct,
            pending: None,
            target: None,
        })
    }

    /// An offer with one audio and one video m-line, as far as they are wanted.
    pub fn offer(&mut self) -> Result<String> {
        let dir = match self.direct {
            Direct::Publish => Direction::SendOnly,
            Direct::Subscribe => Direction::RecvOnly,
        };
        self.offer_with(dir, |_| vec![])
    }

    /// The offer of a participant of a room, with the sections that a web client has: a microphone and a camera, a
    /// screen and its sound, slots, and data.
    pub fn offer_for_room(&mut self, video_slots: u32, audio_slots: u32) -> Result<String> {
        self.offer_with(Direction::SendOnly, |api| {
            let mut add = |kind, dir| api.add_media(kind, dir, None, None, None);
            add(MediaKind::Video, Direction::SendOnly);
            add(MediaKind::Audio, Direction::SendOnly);
            for _ in 0..audio_slots {
                add(MediaKind::Audio, Direction::RecvOnly);
            }
            let slots = (0..video_slots).map(|_| add(MediaKind::Video, Direction::RecvOnly)).collect();
            api.add_channel("reliable".into());
            slots
        })
    }

    fn offer_with(&mut self, dir: Direction, more: impl FnOnce(&mut SdpApi) -> Vec<Mid>) -> Result<String> {
        let mut api = self.rtc.sdp_api();
        if self.options.audio {
            self.audio = Some(api.add_media(MediaKind::Audio, dir, None, None, None));
        }
        if self.options.video.is_some() {
            let simulcast = (self.options.simulcast && dir == Direction::SendOnly).then(|| {
                let mut s = Simulcast::new();
                for rid in RIDS {
                    s.add_send_layer(SimulcastLayer::new(rid));
                }
                s
            });
            self.video = Some(api.add_media(MediaKind::Video, dir, None, None, simulcast));
        }
        self.slots = more(&mut api);
        let (offer, pending) = api.apply().context("nothing to offer")?;
        self.pending = Some(pending);
        let sdp = offer.to_sdp_string();
        self.show("our offer", &sdp);
        Ok(sdp)
    }

    fn show(&self, what: &str, sdp: &str) {
        if self.options.show_sdp {
            eprintln!("--- {what} of {}\n{sdp}", self.ip);
        }
    }

    pub fn accept_answer(&mut self, sdp: &str) -> Result<()> {
        self.show("the server's answer", sdp);
        self.target = Target::read(sdp, self.ip);
        let pending = self.pending.take().context("answer without an offer")?;
        let answer = SdpAnswer::from_sdp_string(sdp)
            .map_err(|e| anyhow!("the server's answer does not parse: {e}\n{sdp}"))?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(|e| anyhow!("the server's answer does not fit the offer: {e}\n{sdp}"))
    }

    /// Answers an offer of the server (Janus subscribers).
    pub fn answer(&mut self, sdp: &str) -> Result<String> {
        self.show("the server's offer", sdp);
        let offer = SdpOffer::from_sdp_string(sdp)
            .map_err(|e| anyhow!("the server's offer does not parse: {e}\n{sdp}"))?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|e| anyhow!("the server's offer was not acceptable: {e}\n{sdp}"))?;
        let sdp = answer.to_sdp_string();
        self.show("our answer", &sdp);
        Ok(sdp)
    }

    pub fn payload_types(&self) -> PayloadTypes {
        let mut pts = PayloadTypes::default();
        for p in self.rtc.codec_config().params() {
            match p.spec().codec {
                Codec::Opus => pts.audio = Some(p.pt()),
                codec if Some(codec) == self.options.video.map(VideoCodec::codec) => {
                    pts.video = pts.video.or(Some(p.pt()));
                    pts.rtx = pts.rtx.or(p.resend());
                }
                _ => {}
            }
        }
        if self.options.every_codec {
            return pts; // The server takes the payload types of the offer.
        }
        // A publisher must use what both sides settled on for its m-line.
        if let Some(pt) = self.video.and_then(|m| self.rtc.media(m)?.remote_pts().first().copied()) {
            pts.video = Some(pt);
        }
        if let Some(pt) = self.audio.and_then(|m| self.rtc.media(m)?.remote_pts().first().copied()) {
            pts.audio = Some(pt);
        }
        pts
    }
}
