//! Why sessions end.

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client sent DTLS close_notify.
    ClosedByPeer,
    /// The client or the server asked for it (DELETE, replaced, shutdown).
    Requested,
    /// Nothing was heard on any path for 15 s.
    TimedOut,
    /// No connectivity check arrived or none was right.
    IceFailed,
    /// ICE worked, the DTLS handshake did not.
    DtlsFailed,
    /// The stream now has a format that this viewer cannot decode.
    Unplayable,
    /// A protocol error or a bug in this session alone.
    Broken,
}

impl EndReason {
    /// All reasons, for metrics.
    pub const ALL: [Self; 7] = [
        Self::ClosedByPeer,
        Self::Requested,
        Self::TimedOut,
        Self::IceFailed,
        Self::DtlsFailed,
        Self::Unplayable,
        Self::Broken,
    ];

    /// The reason as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClosedByPeer => "closed_by_peer",
            Self::Requested => "requested",
            Self::TimedOut => "timed_out",
            Self::IceFailed => "ice_failed",
            Self::DtlsFailed => "dtls_failed",
            Self::Unplayable => "unplayable",
            Self::Broken => "broken",
        }
    }
}
