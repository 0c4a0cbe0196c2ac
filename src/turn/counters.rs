//! What the TURN server counts: plain numbers that only grow.

/// Why a message was dropped without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// Neither STUN nor ChannelData, or broken.
    Malformed,
    /// FINGERPRINT is there and wrong.
    Fingerprint,
    /// A message that a client does not send: a response, or a method that is not TURN's.
    Unexpected,
    /// An indication that demands something unknown, or lacks what it needs.
    Indication,
    /// For a client or a relayed address that has no allocation.
    NoAllocation,
    /// On a channel that is not bound.
    NoChannel,
    /// To or from a peer without permission.
    NoPermission,
    /// To an address that is not this server's.
    Forbidden,
    /// More than the allocation's bandwidth.
    Bandwidth,
    /// A request from an address that got enough replies without proving that it receives them.
    Stranger,
    /// A request with a password, from an address that tried too many wrong ones.
    Guessing,
    /// Longer than what can be wrapped.
    TooLong,
}

impl Dropped {
    /// All reasons, for counters.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Fingerprint,
        Self::Unexpected,
        Self::Indication,
        Self::NoAllocation,
        Self::NoChannel,
        Self::NoPermission,
        Self::Forbidden,
        Self::Bandwidth,
        Self::Stranger,
        Self::Guessing,
        Self::TooLong,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Fingerprint => "fingerprint",
            Self::Unexpected => "unexpected",
            Self::Indication => "indication",
            Self::NoAllocation => "no_allocation",
            Self::NoChannel => "no_channel",
            Self::NoPermission => "no_permission",
            Self::Forbidden => "forbidden",
            Self::Bandwidth => "bandwidth",
            Self::Stranger => "stranger",
            Self::Guessing => "guessing",
            Self::TooLong => "too_long",
        }
    }
}

/// Why a request was refused: the error codes (RFC 8489 section 14.8, RFC 8656 section 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// 300: another server takes new allocations.
    TryAlternate,
    /// 400: an attribute is missing or malformed, or two do not go together.
    BadRequest,
    /// 401: no credential, or a wrong or expired one.
    Unauthenticated,
    /// 403: the peer is not this server.
    Forbidden,
    /// 420: an attribute that has to be understood, and is not.
    UnknownAttribute,
    /// 437: there is no allocation, or already one.
    AllocationMismatch,
    /// 438: the nonce is too old, or not ours.
    StaleNonce,
    /// 440: there are no relayed addresses of that family.
    AddressFamilyNotSupported,
    /// 441: not the credential that the allocation was made with.
    WrongCredentials,
    /// 442: relayed is UDP only.
    UnsupportedTransport,
    /// 443: the allocation has no address of the peer's family.
    PeerAddressFamilyMismatch,
    /// 486: the user or the address has as many allocations as it may.
    QuotaReached,
    /// 508: no relayed address is left, or no room for more permissions or channels.
    InsufficientCapacity,
}

impl Refused {
    /// All reasons, for counters.
    pub const ALL: [Self; 13] = [
        Self::TryAlternate,
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::UnknownAttribute,
        Self::AllocationMismatch,
        Self::StaleNonce,
        Self::AddressFamilyNotSupported,
        Self::WrongCredentials,
        Self::UnsupportedTransport,
        Self::PeerAddressFamilyMismatch,
        Self::QuotaReached,
        Self::InsufficientCapacity,
    ];

    /// The error code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::TryAlternate => 300,
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::UnknownAttribute => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::AddressFamilyNotSupported => 440,
            Self::WrongCredentials => 441,
            Self::UnsupportedTransport => 442,
            Self::PeerAddressFamilyMismatch => 443,
            Self::QuotaReached => 486,
            Self::InsufficientCapacity => 508,
        }
    }

    /// The error code as it stands in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TryAlternate => "300",
            Self::BadRequest => "400",
            Self::Unauthenticated => "401",
            Self::Forbidden => "403",
            Self::UnknownAttribute => "420",
            Self::AllocationMismatch => "437",
            Self::StaleNonce => "438",
            Self::AddressFamilyNotSupported => "440",
            Self::WrongCredentials => "441",
            Self::UnsupportedTransport => "442",
            Self::PeerAddressFamilyMismatch => "443",
            Self::QuotaReached => "486",
            Self::InsufficientCapacity => "508",
        }
    }
}

/// How often each of `N` things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Each<const N: usize>([u64; N]);

impl<const N: usize> Default for Each<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

/// One direction of what is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relaying {
    /// How many datagrams.
    pub packets: u64,
    /// How many bytes were in them, without what is wrapped around them.
    pub bytes: u64,
}

impl Relaying {
    pub(super) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Allocations that were made.
    pub allocated: u64,
    /// Allocations that ended because nobody refreshed them.
    pub expired: u64,
    /// Allocations that ended because the client gave them back or its connection closed.
    pub released: u64,
    /// Requests whose password was wrong.
    pub wrong_passwords: u64,
    /// Requests whose password was right, but whose time was over.
    pub expired_credentials: u64,
    /// From clients to peers.
    pub outward: Relaying,
    /// From peers to clients.
    pub inward: Relaying,
    dropped: Each<{ Dropped::ALL.len() }>,
    refused: Each<{ Refused::ALL.len() }>,
}

impl Counters {
    /// How many messages were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> u64 {
        let each = Dropped::ALL.iter().zip(self.dropped.0);
        each.filter(|(known, _)| **known == reason).map(|(_, count)| count).sum()
    }

    /// How many requests were refused for this reason, whether a reply was sent or not.
    #[must_use]
    pub fn refused(&self, reason: Refused) -> u64 {
        let each = Refused::ALL.iter().zip(self.refused.0);
        each.filter(|(known, _)| **known == reason).map(|(_, count)| count).sum()
    }

    pub(super) fn drop_for(&mut self, reason: Dropped) {
        let each = Dropped::ALL.iter().zip(&mut self.dropped.0);
        each.filter(|(known, _)| **known == reason).for_each(|(_, count)| *count += 1);
    }

    pub(super) fn refuse_for(&mut self, reason: Refused) {
        let each = Refused::ALL.iter().zip(&mut self.refused.0);
        each.filter(|(known, _)| **known == reason).for_each(|(_, count)| *count += 1);
    }
}
