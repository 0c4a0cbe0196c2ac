//! What an offer says, checked and cleaned before str0m sees it.
//!
//! Clients write offers that are odd but meant well. They are mended here, in one place: a lone section without a
//! mid (several need one each to be bundled), bundle groups that name absent sections (FFmpeg 8.0), candidates that
//! nobody needs (the server is ICE-lite and learns addresses from connectivity checks), directions that browsers
//! cannot help (`addTrack` makes `sendrecv` of a WHIP offer).
//!
//! Anybody may post an offer, so each section is read once, into a [`Media`], and nothing takes more time than in
//! proportion to the offer's size.

mod codecs;
mod cleaned;

use std::borrow::Cow;
use std::collections::HashSet;

use str0m::format::CodecConfig;
use str0m::rtp::ExtensionMap;

pub(super) use self::cleaned::Shown;
pub(super) use self::codecs::Settled;
use self::codecs::{encoding_names, formats};
use super::extensions::{Extmap, SectionKind};
use crate::ids::Ssrc;
use crate::sfu::egress::{Coding, PayloadType};
use crate::sfu::forward::target::MOST_ENCODINGS;
use crate::units::MediaKind;
use crate::wire::sdp::{Lines, PayloadTypes, Sdp, SdpError, Section};

/// The longest ICE user fragment and password (RFC 8839 section 5.4), in bytes. They are kept as long as the session.
const MAX_CREDENTIAL: usize = 256;

/// The most simulcast layers of a section. Encoders send up to four; str0m keeps something for each.
const MAX_LAYERS: usize = 16;

/// The most `a=ssrc` lines that are read of a section, and the most lines of other kinds that may be repeated:
/// 16 sources with the four lines that browsers write of each.
const MAX_REPEATED: usize = 64;

/// What the client wants of this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends (WHIP, RFC 9725).
    Publish,
    /// It receives (WHEP, draft-ietf-wish-whep).
    Watch,
    /// It takes part in a room: it may send, receive and speak over data channels, all in one session, and change its
    /// mind later.
    Join,
}

/// Which way media of a section goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// From the client.
    Up,
    /// To the client.
    Down,
    /// Nowhere, as the section is inactive or not of the role.
    Still,
}

impl Flow {
    /// What becomes of a direction that the client offers.
    fn of(direction: &str, role: Role) -> Self {
        match (direction, role) {
            ("sendonly" | "sendrecv", Role::Publish | Role::Join) => Self::Up,
            ("recvonly" | "sendrecv", Role::Watch) | ("recvonly", Role::Join) => Self::Down,
            _ => Self::Still,
        }
    }
}

/// Why an offer gets no answer. The sentences are shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The text is not SDP.
    #[error("{0}.")]
    Malformed(#[from] SdpError),
    /// The text is SDP, and lacks what WebRTC needs.
    #[error("The offer has no {0}.")]
    Missing(&'static str),
    /// Two sections with one name.
    #[error("Two sections of the offer have the mid {0:?}.")]
    SameMid(String),
    /// Sections over several transports.
    #[error("The offer does not bundle all of its media. Use bundlePolicy \"max-bundle\".")]
    NotBundled,
    /// Both ends would wait for the other to begin.
    #[error("The offer says ice-lite, and so does this server: one of the two must be a full ICE agent.")]
    BothLite,
    /// A publisher that sends nothing, a viewer that receives nothing.
    #[error("The offer has no audio or video that the client {0}.")]
    NothingToDo(&'static str),
    /// Nothing that this server forwards.
    #[error(
        "The offer's {kind} codecs ({offered}) are not forwarded here. This server takes Opus, VP8, VP9, H.264, H.265 and AV1."
    )]
    NoCodec {
        /// The kind of the section.
        kind: MediaKind,
        /// The encoding names of the section.
        offered: String,
    },
    /// A later offer with another certificate: that of another peer connection.
    #[error(
        "The offer has another certificate than the one before it; resume with a join to use another peer connection."
    )]
    OtherCertificate,
    /// str0m's own reason.
    #[error("The offer cannot be answered: {0}.")]
    Refused(String),
}

/// An offer that was found fit to answer.
pub(super) struct Offer<'a> {
    /// Every section, in the order of the offer.
    pub(super) sections: Vec<Media<'a>>,
    pub(super) transport: Transport<'a>,
    role: Role,
    /// What earlier offers of the session have settled.
    settled: Settled,
    /// Whether str0m can write all mids as they are into packets: it knows 16 letters and digits, and writes the mids
    /// of other forms differently.
    mids_are_plain: bool,
}

/// A section of an offer, and what follows from its lines.
pub(super) struct Media<'a> {
    pub(super) section: Section<'a>,
    /// `None` for a data channel, and for what is not spoken here.
    pub(super) kind: Option<MediaKind>,
    /// Its own mid, or one that no other section has.
    pub(super) mid: Cow<'a, str>,
    pub(super) payload_types: PayloadTypes<'a>,
    /// The payload types that carry a codec we forward.
    pub(super) formats: Vec<PayloadType>,
    /// The client itself has given the section up.
    pub(super) rejected: bool,
    /// Its kind, protocol and codecs are known here. A section that is not taken is answered as rejected (RFC 3264
    /// section 6), and str0m does not see it.
    pub(super) taken: bool,
    /// Which way media goes.
    pub(super) flow: Flow,
    /// The header extensions that are answered.
    pub(super) extensions: Vec<Extmap<'a>>,
    /// Where the client allows to mix forms of header extensions.
    pub(super) mixed: Option<Mixed>,
}

/// Where `a=extmap-allow-mixed` stands (RFC 8285 section 6). It is answered in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mixed {
    /// Above all sections, for all of them.
    Above,
    /// In the section.
    Here,
}

/// What the sections share, as they are bundled.
pub(super) struct Transport<'a> {
    /// ICE user fragments with their passwords. Bundled sections should name the same, but may not all do.
    pub(super) credentials: Vec<(&'a str, &'a str)>,
    pub(super) fingerprints: Vec<&'a str>,
    pub(super) setup: Option<&'a str>,
}

impl<'a> Offer<'a> {
    pub(super) fn parse(text: &'a str, role: Role) -> Result<Self, OfferError> {
        let sdp = Sdp::parse(text)?;
        check_description(&sdp)?;
        let bundle: HashSet<&str> = sdp.bundle().into_iter().collect();
        let transport = Transport::of(&sdp, &bundle)?;
        let mids = mids(&sdp)?;
        let Sdp { session, sections } = sdp;
        let sections = sections.into_iter().zip(mids);
        let sections: Vec<_> =
            sections.map(|(section, mid)| Media::new(section, mid, &session, &bundle, role)).collect();
        let active = || sections.iter().filter(|media| !media.rejected);
        if active().nth(1).is_some() && active().any(|media| !is_bundled(&media.section, &bundle)) {
            return Err(OfferError::NotBundled);
        }
        let plain = |mid: &str| mid.len() <= 16 && mid.bytes().all(|b| b.is_ascii_alphanumeric());
        let mids_are_plain = sections.iter().all(|media| plain(&media.mid));
        let settled = Settled::default();
        let mut offer = Self { sections, transport, role, settled, mids_are_plain };
        offer.check()?;
        offer.take_extensions();
        Ok(offer)
    }

    /// Leaves out what contradicts earlier offers of the session: a payload type and the number of a header extension
    /// are one thing in the whole bundle, for its whole life (RFC 8843 section 10.1.2), and str0m learns no new codecs.
    pub(super) fn hold_to(&mut self, settled: Settled) {
        for media in &mut self.sections {
            media.formats.retain(|entry| settled.codings.iter().any(|known| known.payload_type == *entry));
            media.taken &= media.kind.is_none() || !media.formats.is_empty();
        }
        self.settled = settled;
        self.take_extensions();
    }

    /// Decides which header extensions are answered, by what they stand for in the whole bundle.
    fn take_extensions(&mut self) {
        let is_first = self.settled.codings.is_empty();
        let numbers = &mut self.settled.extensions;
        let offered = |media: &Media<'a>| {
            let lines = media.section.lines.attributes("extmap").take(MAX_REPEATED);
            lines.filter_map(Extmap::parse).collect::<Vec<_>>()
        };
        let media = |media: &&mut Media<'a>| media.taken && media.kind.is_some();
        for media in self.sections.iter_mut().filter(media) {
            offered(media).iter().for_each(|extmap| numbers.learn(extmap, is_first));
        }
        for media in self.sections.iter_mut().filter(media) {
            let Some(kind) = media.kind else { continue };
            // A viewer's section that rests may receive later; all others may send.
            let is_up = self.role != Role::Watch && media.flow != Flow::Down;
            let codec = media.formats.first().map(|first| first.format.codec);
            let section = SectionKind { kind, is_up, mid: &media.mid, codec };
            media.extensions = numbers.taken(&section, offered(media).into_iter());
        }
    }

    /// The SSRCs that str0m is shown.
    pub(super) fn announced(&self) -> impl Iterator<Item = u32> {
        let sends = |media: &&Media<'_>| media.taken && media.flow != Flow::Down;
        let lines = |media: &Media<'a>| {
            let lines = media.section.lines.attributes("ssrc").take(MAX_REPEATED);
            lines.filter_map(|line| line.split(' ').next()?.parse().ok()).collect::<Vec<u32>>()
        };
        self.sections.iter().filter(sends).flat_map(lines)
    }

    /// What is settled for all later offers of the session.
    pub(super) fn settle(self, codings: Vec<Coding>) -> Settled {
        Settled { codings, extensions: self.settled.extensions }
    }

    /// What str0m is to read in packets.
    pub(super) fn extension_map(&self) -> ExtensionMap {
        self.settled.extensions.extension_map(self.role == Role::Join)
    }

    fn check(&self) -> Result<(), OfferError> {
        let active = || self.sections.iter().filter(|media| !media.rejected);
        let wanted = || active().filter(|media| media.kind.is_some() && media.flow != Flow::Still);
        let verb = match self.role {
            Role::Publish => "sends",
            Role::Watch => "wants to receive",
            Role::Join if active().any(|media| media.taken) => return Ok(()),
            Role::Join => "sends or wants to receive",
        };
        if wanted().next().is_none() {
            return Err(OfferError::NothingToDo(verb));
        }
        let refusal = match self.role {
            // What a publisher sends is either taken whole or refused (RFC 9725 section 4.4.3): else somebody is on
            // air without a picture and does not know.
            Role::Publish => wanted().chain(active()).find_map(|media| media.refusal(self.role)),
            // A viewer can do without the sections that are not for it, as long as there is one that is.
            Role::Watch if wanted().any(|media| media.taken) => None,
            Role::Watch | Role::Join => wanted().find_map(|media| media.refusal(self.role)),
        };
        refusal.map_or(Ok(()), Err)
    }

    /// The sections that str0m sees of a first offer.
    pub(super) fn taken(&self) -> impl Iterator<Item = &Media<'a>> {
        self.sections.iter().filter(|media| media.taken)
    }

    /// What str0m shall be configured with, and the payload types of all sections.
    pub(super) fn codecs(&self) -> (CodecConfig, Vec<Coding>) {
        codecs::config(self.taken().map(|media| (&media.payload_types, media.formats.as_slice())))
    }

    /// The client's ICE user fragments and passwords. Usually one pair; the first is the one that counts.
    pub(super) fn credentials(&self) -> Vec<(String, String)> {
        let owned = |(ufrag, password): &(&str, &str)| ((*ufrag).to_owned(), (*password).to_owned());
        self.transport.credentials.iter().map(owned).collect()
    }
}

impl<'a> Media<'a> {
    fn new(
        section: Section<'a>,
        mid: Cow<'a, str>,
        session: &Lines<'a>,
        bundle: &HashSet<&str>,
        role: Role,
    ) -> Self {
        let kind = match section.kind {
            "audio" => Some(MediaKind::Audio),
            "video" => Some(MediaKind::Video),
            _ => None,
        };
        let payload_types = section.payload_types();
        let formats = formats(kind, &payload_types);
        // Port 0 means rejected, unless the section lives inside the bundle only (RFC 8843 section 6).
        let rejected = section.port == 0 && !is_bundled(&section, bundle);
        let direction = direction(&section.lines).or_else(|| direction(session)).unwrap_or("sendrecv");
        let flow = Flow::of(direction, role);
        let is_mixed = |lines: &Lines<'_>| lines.has("extmap-allow-mixed");
        let mixed = match (is_mixed(session), is_mixed(&section.lines)) {
            (true, _) => Some(Mixed::Above),
            (false, is_here) => is_here.then_some(Mixed::Here),
        };
        let (taken, extensions) = (false, Vec::new());
        let mut media =
            Self { section, kind, mid, payload_types, formats, rejected, taken, flow, extensions, mixed };
        let fits = kind.is_none() || !media.formats.is_empty();
        // A participant can do without one of its sections; a publisher is refused whole.
        let is_bearable = role != Role::Join || !media.has_too_many_layers();
        media.taken = !rejected && media.is_spoken() && fits && is_bearable;
        media
    }

    fn has_too_many_layers(&self) -> bool {
        let layers = self.section.lines.attribute("simulcast").unwrap_or_default();
        layers.matches([';', ',']).count() >= MAX_LAYERS
    }

    /// The SSRCs of its encodings, in their order, where these have no names (`a=ssrc-group:SIM`, as clients write it that are
    /// older than RFC 8853). Empty for all others.
    pub(super) fn grouped(&self) -> Vec<Ssrc> {
        let lines = &self.section.lines;
        if self.kind != Some(MediaKind::Video) || self.flow != Flow::Up || lines.has("simulcast") {
            return Vec::new();
        }
        let groups = lines.attributes("ssrc-group").filter_map(|group| group.strip_prefix("SIM "));
        let mut found = Vec::new();
        for ssrc in groups.flat_map(str::split_ascii_whitespace).take(MAX_LAYERS) {
            let Ok(ssrc) = ssrc.parse().map(Ssrc) else { continue };
            if !found.contains(&ssrc) && found.len() < MOST_ENCODINGS {
                found.push(ssrc);
            }
        }
        found
    }

    /// Whether kind and protocol are known here.
    fn is_spoken(&self) -> bool {
        match self.section.kind {
            "audio" | "video" => self.section.protocol == "UDP/TLS/RTP/SAVPF",
            "application" => matches!(self.section.protocol, "UDP/DTLS/SCTP" | "DTLS/SCTP"),
            _ => false,
        }
    }

    /// Why an active section cannot be used as its client means it.
    fn refusal(&self, role: Role) -> Option<OfferError> {
        if !self.is_spoken() {
            let (kind, protocol) = (self.section.kind, self.section.protocol);
            let reason = format!("its m-line of kind {kind:?} and protocol {protocol:?} is not spoken here");
            return Some(OfferError::Refused(reason));
        }
        if role != Role::Watch && self.has_too_many_layers() {
            let reason = format!("a section has more than {MAX_LAYERS} simulcast layers");
            return Some(OfferError::Refused(reason));
        }
        let kind = self.kind.filter(|_| self.flow != Flow::Still && self.formats.is_empty())?;
        Some(OfferError::NoCodec { kind, offered: encoding_names(&self.payload_types) })
    }
}

impl<'a> Transport<'a> {
    /// Reads the first live section first: a rejected one may carry nothing, and any section speaks for the bundle.
    fn of(sdp: &Sdp<'a>, bundle: &HashSet<&str>) -> Result<Self, OfferError> {
        let is_live = |section: &&Section<'_>| section.port != 0 || is_bundled(section, bundle);
        let sections = || {
            let live = sdp.sections.iter().filter(is_live);
            live.chain(sdp.sections.iter().filter(move |section| !is_live(section)))
        };
        for (name, missing) in
            [("ice-ufrag", "a=ice-ufrag"), ("ice-pwd", "a=ice-pwd"), ("fingerprint", "a=fingerprint")]
        {
            if !sections().any(|section| sdp.inherited(section, name).is_some()) {
                return Err(OfferError::Missing(missing));
            }
        }
        let mut seen = HashSet::new();
        let credential =
            |section, name| sdp.inherited(section, name).filter(|value| value.len() <= MAX_CREDENTIAL);
        let pair = |section| Some((credential(section, "ice-ufrag")?, credential(section, "ice-pwd")?));
        let credentials: Vec<_> = sections().filter_map(pair).filter(|pair| seen.insert(*pair)).collect();
        if credentials.is_empty() {
            return Err(OfferError::Missing(
                "section with an a=ice-ufrag and an a=ice-pwd of 256 characters at most",
            ));
        }
        let own = sections().map(|section| &section.lines).find(|lines| lines.has("fingerprint"));
        let fingerprints = own.unwrap_or(&sdp.session).attributes("fingerprint").collect();
        let setup = sections().find_map(|section| sdp.inherited(section, "setup"));
        Ok(Self { credentials, fingerprints, setup })
    }
}

/// What is said once, above the sections or in the first.
fn check_description(sdp: &Sdp<'_>) -> Result<(), OfferError> {
    let first = sdp.sections.first().ok_or(OfferError::Missing("m-line"))?;
    if sdp.inherited(first, "ice-lite").is_some() { Err(OfferError::BothLite) } else { Ok(()) }
}

/// The mid of each section. One that has none gets a number that no other section has.
fn mids<'a>(sdp: &Sdp<'a>) -> Result<Vec<Cow<'a, str>>, OfferError> {
    let given: Vec<Option<&str>> = sdp.sections.iter().map(Section::mid).collect();
    let mut taken: HashSet<Cow<'_, str>> = HashSet::new();
    for mid in given.iter().flatten() {
        if !taken.insert(Cow::Borrowed(mid)) {
            return Err(OfferError::SameMid((*mid).to_owned()));
        }
    }
    // Each number is tried once: those before are taken by then.
    let mut numbers = (0_u32..).map(|number| Cow::Owned(number.to_string()));
    let mut free = || numbers.find(|number| !taken.contains(number)).unwrap_or_default();
    Ok(given.into_iter().map(|mid| mid.map_or_else(&mut free, Cow::Borrowed)).collect())
}

fn is_bundled(section: &Section<'_>, bundle: &HashSet<&str>) -> bool {
    section.mid().is_some_and(|mid| bundle.contains(mid))
}

/// The direction that lines name; `sendrecv` where nothing is said at all (RFC 8866 section 6.7).
fn direction(lines: &Lines<'_>) -> Option<&'static str> {
    const DIRECTIONS: [&str; 4] = ["sendonly", "recvonly", "sendrecv", "inactive"];
    DIRECTIONS.into_iter().find(|name| lines.has(name))
}
