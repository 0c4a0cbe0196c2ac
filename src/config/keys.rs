//! The list of all keys. It drives reading files, environment and `--set`, the search for the nearest key, the
//! listing of `check-config`, and the test of `config/sluice.toml`.

use strsim::damerau_levenshtein;

use super::Config;
use super::field::{Field, Refusal, Value, keys, list, number, one, optional, passwords, secret, secrets};

/// A section of the file.
pub struct Section {
    /// Its name, as in `[name]`.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
}

/// One key.
pub struct Key {
    /// The section's name, a dot, the key's own name.
    pub name: &'static str,
    /// Meaning and advice, in lines that fit a comment.
    pub doc: &'static str,
    place: Place,
    is_table: bool,
}

type Place = for<'a> fn(&'a mut Config) -> Box<dyn Field + 'a>;

/// All sections, in the order of the file.
pub static SECTIONS: &[Section] = &[
    Section { name: "http", doc: "Pages, WHIP and WHEP." },
    Section { name: "metrics", doc: "What Prometheus scrapes." },
    Section { name: "admin", doc: "The API for operators: a list of its addresses stands at /admin/." },
    Section { name: "media", doc: "The UDP side: ICE, DTLS, SRTP and STUN on one port." },
    Section {
        name: "turn",
        doc: "The relay for clients whose network lets no UDP through, or only to a few ports.",
    },
    Section {
        name: "auth",
        doc: "Who may publish and join. Watching is open to everybody who reaches the server.",
    },
    Section { name: "worker", doc: "The media threads." },
    Section { name: "limits", doc: "What one server takes on." },
    Section { name: "log", doc: "What is written to standard error." },
    Section {
        name: "tls",
        doc: "HTTPS instead of HTTP: set acme, or cert and key. Files that change are read again while the server runs.",
    },
];

/// All keys, section by section in the order of [`SECTIONS`].
pub static KEYS: &[Key] = &[
    Key::new(
        "http.listen",
        "The TCP address of the HTTP server. Port 0 takes a free port.\n\
         Beyond loopback, auth.stream_keys, auth.room_keys or auth.open must say who may publish and join.",
        |c| one(&mut c.http.listen),
    ),
    Key::new(
        "http.public_url",
        "The address under which others reach this server, for instance behind a reverse proxy.\n\
         With TLS of the server's own, media and relay over TCP are announced at its port, which a router may map.\n\
         Empty: addresses are told as the request named them.",
        |c| optional(&mut c.http.public_url),
    ),
    Key::new(
        "http.wait_for_stream",
        "Let WHEP players in while nobody publishes: they wait on their connection, and the picture comes when\n\
         somebody does. If false, they get 409 and are told when to ask again.",
        |c| one(&mut c.http.wait_for_stream),
    ),
    Key::new(
        "http.redirect",
        "The TCP address of a second listener, usually port 80, that sends everybody to the HTTPS address. It also\n\
         answers the certificate authority of tls.acme, for the case that it cannot reach port 443.\n\
         Empty: there is no such listener.",
        |c| optional(&mut c.http.redirect),
    ),
    Key::new(
        "metrics.listen",
        "A TCP address of its own for /metrics, which is then served only there.\n\
         Empty: /metrics stands beside the pages on http.listen.",
        |c| optional(&mut c.metrics.listen),
    ),
    Key::new(
        "admin.listen",
        "The TCP address of the admin API. It speaks HTTPS where http.listen does.\n\
         Empty: there is no admin API.",
        |c| optional(&mut c.admin.listen),
    ),
    Key::new(
        "admin.key",
        "The key that the admin API demands as a bearer token. Needed when admin.listen is set.",
        |c| secret(&mut c.admin.key),
    ),
    Key::new(
        "media.listen",
        "The UDP addresses for media. 0.0.0.0 and [::] stand for all local addresses.\n\
         Port 0 takes a free port.",
        |c| list(&mut c.media.listen, 1),
    ),
    Key::new(
        "media.announce",
        "The addresses told to clients, IPv4 first. Set the public address here when this machine does\n\
         not have it itself (1:1 NAT, as with most cloud machines, and containers). A DNS name is resolved\n\
         at start and every minute; new sessions get what it then stands for.\n\
         Empty: the usable local addresses.",
        |c| list(&mut c.media.announce, 0),
    ),
    Key::new(
        "media.discover",
        "A STUN server that tells this machine its public address, at start and every minute. It is announced\n\
         beside the local addresses, if media.announce is empty; else only `sluice doctor` asks.\n\
         Empty: nobody is asked.",
        |c| optional(&mut c.media.discover),
    ),
    Key::new(
        "media.loopback",
        "Announce loopback addresses too, for clients on this machine.\n\
         They are announced in any case when there are no others.",
        |c| one(&mut c.media.loopback),
    ),
    Key::new(
        "media.tcp",
        "Take media over TCP too, on the port of http.listen, for clients whose network lets no UDP through.\n\
         Where http.listen is loopback, so behind a proxy on this machine, that is done only with media.loopback.",
        |c| one(&mut c.media.tcp),
    ),
    Key::new(
        "media.receive_buffer",
        "The receive buffer of each UDP socket. It holds what arrives while the media thread is busy.\n\
         Linux caps it at net.core.rmem_max; the server warns when that happens.",
        |c| number(&mut c.media.receive_buffer.0, BUFFER.0..=BUFFER.1, "bytes"),
    ),
    Key::new(
        "media.send_buffer",
        "The send buffer of each UDP socket.\n\
         Linux caps it at net.core.wmem_max; the server warns when that happens.",
        |c| number(&mut c.media.send_buffer.0, BUFFER.0..=BUFFER.1, "bytes"),
    ),
    Key::new(
        "turn.enabled",
        "Relay for clients that cannot reach the media port otherwise. Nothing but this server is reached\n\
         through it, and it opens no ports.",
        |c| one(&mut c.turn.enabled),
    ),
    Key::new(
        "turn.realm",
        "What clients are told their name and password are for. Changing it makes passwords known to\n\
         clients as hashes worthless.",
        |c| one(&mut c.turn.realm),
    ),
    Key::new(
        "turn.secrets",
        "What credentials that say themselves until when they are good are made with: the name is the time in\n\
         seconds since 1970, a colon and the user, the password base64 of HMAC-SHA1 of the name. The first\n\
         makes new ones; those behind it are still good, so that a secret can be replaced without anybody noticing.\n\
         Empty: one that nobody knows, and only this server's own clients get credentials.",
        |c| secrets(&mut c.turn.secrets, 4),
    ),
    Key::table(
        "turn.users",
        "Users with passwords of their own, for instance for other programs.\n\
         For instance: users = { gateway = \"a-long-random-text\" }",
        |c| passwords(&mut c.turn.users),
    ),
    Key::new("turn.allocations", "Relayed clients at one time, of the whole server.", |c| {
        number(&mut c.turn.allocations, 1..=8_000, "allocations")
    }),
    Key::new(
        "turn.per_user",
        "Relayed clients of one user at one time, on each media thread. A client needs one for each way it tries:\n\
         UDP, TCP and TLS, by IPv4 and IPv6.",
        |c| number(&mut c.turn.per_user, 1..=8_000, "allocations"),
    ),
    Key::new(
        "turn.per_address",
        "Relayed clients of one client address at one time, on each media thread; a company behind a NAT is one\n\
         address.",
        |c| number(&mut c.turn.per_address, 1..=8_000, "allocations"),
    ),
    Key::new(
        "turn.bandwidth",
        "What one relayed client may send, and what it may receive. More is dropped. 0: no limit.",
        |c| number(&mut c.turn.bandwidth, 0..=1_000_000, "kbit/s"),
    ),
    Key::new(
        "auth.open",
        "Let everybody publish the streams and join the rooms that no key covers.\n\
         If false, such rooms are open to this machine only, and such streams are closed once there is\n\
         any key. Without any key the server listens on loopback only, and every stream is open there.",
        |c| one(&mut c.auth.open),
    ),
    Key::table(
        "auth.stream_keys",
        "The key that a publisher must send as its bearer token, for each stream.\n\
         For instance: stream_keys = { stage = \"a-long-random-text\", \"*\" = \"another-random-text\" }",
        |c| keys(&mut c.auth.stream_keys, "stream"),
    ),
    Key::table(
        "auth.room_keys",
        "The key that whoever joins must know, for each room. It is demanded on this machine too.\n\
         For instance: room_keys = { team = \"a-long-random-text\", \"*\" = \"another-random-text\" }",
        |c| keys(&mut c.auth.room_keys, "room"),
    ),
    Key::new(
        "worker.count",
        "The number of media threads, which share the media port: the system spreads clients over them. A room stays on\n\
         one until that one is loaded. 0 takes one for each CPU, at most 64. Systems other than Linux run one.",
        |c| number(&mut c.worker.count, 0..=64, "threads"),
    ),
    Key::new(
        "limits.sessions",
        "Publishers, viewers and participants at one time. Who comes when the server is full is told to come later.",
        |c| number(&mut c.limits.sessions, 1..=100_000, "sessions"),
    ),
    Key::new(
        "limits.participants",
        "Participants of one room at one time. Who comes when the room is full is told so.",
        |c| number(&mut c.limits.participants, 1..=1_000, "participants"),
    ),
    Key::new(
        "limits.overflow",
        "Another server, to which WHIP and WHEP clients are sent (307) while this one is full. Give that one a\n\
         public_url, as not all clients take its answers for its own.\n\
         Empty: they get 503 and are told when to come again.",
        |c| optional(&mut c.limits.overflow),
    ),
    Key::new("log.level", "How much is logged, with exceptions for parts of the program.", |c| {
        one(&mut c.log.level)
    }),
    Key::new("log.format", "Lines for people, or JSON objects for log collectors.", |c| {
        one(&mut c.log.format)
    }),
    Key::new(
        "tls.cert",
        "A PEM file with the certificate, followed by its chain.\n\
         A relative path starts at the working directory.",
        |c| optional(&mut c.tls.cert),
    ),
    Key::new(
        "tls.key",
        "A PEM file with the private key of the certificate.\n\
         A relative path starts at the working directory.",
        |c| optional(&mut c.tls.key),
    ),
    Key::new(
        "tls.acme",
        "The names under which people open this server: it gets a certificate for them by itself, and renews it.\n\
         They must lead to this machine, and the port of http.listen must be 443 for those who come from outside,\n\
         or the one of http.redirect 80. Whoever sets this agrees to the terms of the certificate authority.\n\
         Empty: no certificate is got.",
        |c| list(&mut c.tls.acme, 0),
    ),
    Key::new(
        "tls.acme_mail",
        "Where the certificate authority may write to, for instance when it has to take a certificate back.",
        |c| optional(&mut c.tls.acme_mail),
    ),
    Key::new("tls.acme_directory", "The certificate authority, by the address of its ACME directory.", |c| {
        one(&mut c.tls.acme_directory)
    }),
    Key::new(
        "tls.acme_folder",
        "Where the account, the key and the certificate are kept. Keep it over updates and new containers, as\n\
         certificate authorities give out only a few certificates a week for a name.\n\
         A relative path starts at the working directory.",
        |c| one(&mut c.tls.acme_folder),
    ),
];

/// Socket buffers: a burst of a few frames at least, and below what a C `int` holds after the kernel doubles it.
const BUFFER: (u32, u32) = (64 << 10, 512 << 20);

impl Key {
    const fn new(name: &'static str, doc: &'static str, place: Place) -> Self {
        Self { name, doc, place, is_table: false }
    }

    const fn table(name: &'static str, doc: &'static str, place: Place) -> Self {
        Self { name, doc, place, is_table: true }
    }

    /// The section's name and the key's own name.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The environment variable that sets this key.
    #[must_use]
    pub fn variable(&self) -> String {
        let entry = if self.is_table { "__<name>" } else { "" };
        format!("SLUICE__{}{entry}", self.name.to_ascii_uppercase().replace('.', "__"))
    }

    /// What the key takes (type, unit, range), to be read after "takes".
    #[must_use]
    pub fn takes(&self) -> String {
        (self.place)(&mut Config::default()).takes()
    }

    /// The value that `config` has for this key, in TOML; secrets as `***`.
    #[must_use]
    pub fn show(&self, config: &Config) -> String {
        (self.place)(&mut config.clone()).show()
    }

    /// What people write who forget that every underscore is doubled, without `SLUICE_`.
    pub(super) fn with_single_underscores(&self) -> String {
        self.name.to_ascii_uppercase().replace('.', "_")
    }

    /// Whether the key is a table, whose entries are set one by one.
    pub(super) fn is_table(&self) -> bool {
        self.is_table
    }

    pub(super) fn set(
        &self,
        config: &mut Config,
        entry: Option<&str>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        (self.place)(config).set(entry, value)
    }
}

/// The key at `path`, and the name of the table's entry if `path` goes into a table.
pub(super) fn find(path: &str) -> Option<(&'static Key, Option<&str>)> {
    KEYS.iter().find_map(|key| {
        let rest = path.strip_prefix(key.name)?;
        if rest.is_empty() {
            return Some((key, None));
        }
        rest.strip_prefix('.').filter(|_| key.is_table).map(|entry| (key, Some(entry)))
    })
}

/// The key that was probably meant by `path`, if one is near enough to be worth naming.
pub(super) fn nearest(path: &str) -> Option<&'static Key> {
    let path = path.to_ascii_lowercase();
    let own_name = path.rsplit('.').next().unwrap_or_default();
    let without_entry = path.match_indices('.').nth(1).and_then(|(end, _)| path.get(..end));
    let distance = |key: &Key| {
        // A key in the wrong section counts as three typing errors.
        let moved = if own_name == key.parts().1 { 3 } else { usize::MAX };
        let shortened = without_entry.map_or(usize::MAX, |head| damerau_levenshtein(head, key.name));
        damerau_levenshtein(&path, key.name).min(shortened).min(moved)
    };
    let (near, key) = KEYS.iter().map(|key| (distance(key), key)).min_by_key(|(distance, _)| *distance)?;
    (near <= 3.max(key.name.len() / 4)).then_some(key)
}

/// The section that was probably meant by `name`.
pub(super) fn nearest_section(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let distances = SECTIONS.iter().map(|s| (damerau_levenshtein(&name, s.name), s.name));
    distances.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= 2).map(|(_, n)| n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_a_section_in_order() {
        let mut sections: Vec<_> = KEYS.iter().map(|key| key.parts().0).collect();
        sections.dedup();
        assert_eq!(sections, SECTIONS.iter().map(|s| s.name).collect::<Vec<_>>());
    }

    #[test]
    fn the_nearest_key_is_what_a_person_would_guess() {
        for (written, meant) in [
            ("media.anounce", Some("media.announce")),
            ("htpp.listen", Some("http.listen")),
            ("http_listen", Some("http.listen")),
            ("http.announce", Some("media.announce")),
            ("listen", Some("http.listen")),
            ("Media.Loopback", Some("media.loopback")),
            ("auth.stream_key.live", Some("auth.stream_keys")),
            ("auth.streamkeys", Some("auth.stream_keys")),
            ("auth.room_key.live", Some("auth.room_keys")),
            ("admin.keys", Some("admin.key")),
            ("turn.secret", Some("turn.secrets")),
            ("workers.count", Some("worker.count")),
            ("bananas.colour", None),
        ] {
            assert_eq!(nearest(written).map(|key| key.name), meant, "{written}");
        }
    }
}
