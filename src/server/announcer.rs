//! Looks at what is to be announced, when the server starts and every minute after.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::telling::Telling;
use crate::config::MediaConfig;
use crate::net::addresses::{self, Announced, Wanted};
use crate::net::announcing::{Announcing, Look, look};
use crate::room::control::Control;
use crate::signal::app::Told;
use crate::wire::stun::TransactionId;
use crate::worker::random::random;

/// How often names are resolved and the STUN server is asked: what a short-lived DNS record lives.
const EVERY: Duration = Duration::from_secs(60);

/// How long a start waits for others. A resolver that is away takes ten seconds and more to say so.
const START: Duration = Duration::from_secs(6);

/// Knows what is to be announced.
pub(super) struct Announcer(Announcing);

impl Announcer {
    /// Looks for the first time. What is wrong and can mend itself is logged.
    ///
    /// # Errors
    /// Nothing of what is to be announced has an address: then clients could not reach this server.
    pub(super) async fn begin(media: &MediaConfig) -> Result<Self, String> {
        let mut announcing = Announcing::new(media.clone());
        let found = timeout(START, found(media)).await;
        let wrong = match found {
            Ok(found) => announcing.take(found),
            Err(_) => {
                vec!["the names of media.announce and media.discover were not resolved in time".to_owned()]
            }
        };
        if announcing.is_blind() {
            return Err(wrong.join("; "));
        }
        warn(&wrong);
        Ok(Self(announcing))
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.0.wanted()
    }

    /// Goes on: answers with what keeps new sessions told, and with what they are told. `announced` is the beginning.
    pub(super) fn following(
        self,
        ports: Ports,
        announced: Announced,
        telling: Telling,
        control: Arc<Control>,
    ) -> (Following, watch::Receiver<Told>) {
        let (told, current) = watch::channel(telling.told(announced.clone()));
        let media = BTreeSet::new();
        (Following { announcing: self.0, ports, announced, media, telling, told, control }, current)
    }
}

/// What the ports listen on; the TCP port has the number by which clients know it.
pub(super) struct Ports {
    /// Media.
    pub(super) udp: Vec<SocketAddr>,
    /// Media and the relay over TCP, where that is.
    pub(super) tcp: Option<SocketAddr>,
}

/// Keeps what new sessions are told as it should be.
pub(super) struct Following {
    announcing: Announcing,
    ports: Ports,
    announced: Announced,
    /// All addresses that were announced over the time: sessions stay that were told of them.
    media: BTreeSet<SocketAddr>,
    telling: Telling,
    told: watch::Sender<Told>,
    control: Arc<Control>,
}

impl Following {
    /// Looks every minute, for ever.
    pub(super) async fn watch(mut self) {
        loop {
            sleep(EVERY).await;
            if self.announcing.asks() {
                let found = found(self.announcing.media()).await;
                warn(&self.announcing.take(found));
            }
            match addresses::interfaces() {
                Ok(interfaces) => self.follow(&interfaces),
                Err(error) => tracing::warn!(%error, "the system does not tell its addresses"),
            }
        }
    }

    /// Announces what is right now, if there is anything.
    fn follow(&mut self, interfaces: &[IpAddr]) {
        let wanted = self.announcing.wanted();
        let udp = addresses::announced(&self.ports.udp, &wanted, interfaces);
        let tcp = self.ports.tcp.map(|listen| addresses::announced_over_tcp(listen, &wanted, interfaces));
        let announced = Announced { udp, tcp: tcp.unwrap_or_default() };
        if announced.udp.is_empty() || announced == self.announced {
            return;
        }
        let texts: Vec<_> = announced.udp.iter().map(ToString::to_string).collect();
        tracing::info!(addresses = texts.join(", "), "new sessions are told other addresses");
        self.media.extend(self.announced.udp.iter().chain(&announced.udp));
        let own = addresses::own(&self.ports.udp, interfaces);
        let media: Vec<_> = self.media.iter().chain(&own).copied().collect();
        // First the relay, so that nobody is told what it does not reach.
        self.control.pool().receives_at(&media);
        self.announced = announced.clone();
        self.told.send_replace(self.telling.told(announced));
    }
}

async fn found(media: &MediaConfig) -> Look {
    let media = media.clone();
    let asked = spawn_blocking(move || look(&media, false, || TransactionId(random())));
    // It fails only when the server stops, and then nobody waits for it.
    asked.await.unwrap_or_default()
}

fn warn(sentences: &[String]) {
    for sentence in sentences {
        tracing::warn!("{sentence}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::config::Host;
    use crate::net::udp::{Sharing, UdpConfig};
    use crate::room::control::Limits;
    use crate::server::telling::Relay;
    use crate::sfu::session::dtls::Identity;
    use crate::wire::ntp::{Epoch, NtpTime};
    use crate::worker::pool::{Pool, WorkerConfig};
    use tokio::sync::mpsc;

    fn media(announce: &[&str]) -> MediaConfig {
        let announce = announce.iter().map(|text| Host::parse(text).unwrap()).collect();
        MediaConfig { announce, loopback: true, ..MediaConfig::default() }
    }

    #[tokio::test]
    async fn a_name_that_stands_for_nothing_is_no_reason_to_stay_away_if_there_is_another() {
        let begun = Announcer::begin(&media(&["no.such.name.invalid", "203.0.113.7"])).await;
        let wanted = begun.unwrap_or_else(|error| panic!("{error}")).wanted();
        assert_eq!(wanted.given, ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        let error =
            Announcer::begin(&media(&["no.such.name.invalid"])).await.err().expect("nothing to announce");
        assert!(error.starts_with("no.such.name.invalid of media.announce cannot be resolved ("), "{error}");
    }

    #[tokio::test]
    async fn new_sessions_are_told_what_changed() {
        let begun = Announcer::begin(&media(&["localhost"])).await;
        let announcer = begun.unwrap_or_else(|error| panic!("{error}"));
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let epoch = Epoch { instant: Instant::now(), ntp: NtpTime::default() };
        let relay = Relay { secret: "a secret of the operator".to_owned(), tls: false, name: None };
        let identity = Identity::generate().unwrap();
        let telling = Telling { identity, epoch, ice_over_tcp: true, relay: Some(relay) };
        let udp = UdpConfig {
            listen: vec![address("127.0.0.1:0")],
            receive_buffer: 1 << 16,
            send_buffer: 1 << 16,
            sharing: Sharing::Alone,
        };
        let config = WorkerConfig { count: 1, udp, announce: announcer.wanted(), tcp: None, turn: None };
        let pool = Pool::start(config, mpsc::unbounded_channel().0).await.unwrap();
        let control =
            Arc::new(Control::new(pool, Limits { sessions: 1, participants: 1, viewers_wait: false }));
        let ports = Ports { udp: vec![address("0.0.0.0:3478")], tcp: Some(address("0.0.0.0:443")) };
        let before =
            Announced { udp: vec![address("203.0.113.7:3478")], tcp: vec![address("203.0.113.7:443")] };
        let (mut following, mut current) = announcer.following(ports, before, telling, control);
        let urls = |told: &Told| told.ice_servers.of("p1").remove(0).urls;
        assert_eq!(urls(&current.borrow())[0], "turn:203.0.113.7:3478?transport=udp");
        following.follow(&[]);
        assert!(current.has_changed().unwrap());
        let told = current.borrow_and_update().clone();
        assert_eq!(told.endpoint.candidates.udp, [address("127.0.0.1:3478")]);
        assert_eq!(told.endpoint.candidates.tcp, [address("127.0.0.1:443")]);
        assert_eq!(urls(&told), ["turn:127.0.0.1:3478?transport=udp", "turn:127.0.0.1:443?transport=tcp"]);
        assert!(following.media.contains(&address("203.0.113.7:3478")), "sessions stay that were told of it");
        following.follow(&[]);
        assert!(!current.has_changed().unwrap(), "nothing is new");
    }
}
