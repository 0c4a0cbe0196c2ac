//! Builds the house out of a configuration, opens its doors, and closes them again in order.

mod announcer;
mod opening;
mod secured;
mod telling;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::serve::Listener as _;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use self::announcer::{Announcer, Following, Ports};
pub use self::opening::StartError;
use self::opening::{bind, listen};
use self::secured::Secured;
use self::telling::{Relay, Telling};
use crate::config::{AdminKey, AuthConfig, Config, TurnConfig, TurnPassword};
use crate::log;
use crate::metrics::exporter::Exporter;
use crate::net::addresses::{Announced, Wanted};
use crate::net::streams::port::{Carried, Streams};
use crate::net::surroundings::{self, Surroundings};
use crate::net::udp::{Sharing, UdpConfig};
use crate::room::control::{Control, Limits};
use crate::sfu::session::dtls::Identity;
use crate::signal;
use crate::signal::answering::Answering;
use crate::signal::app::App;
use crate::signal::guesses::Guesses;
use crate::signal::listener::Listener;
use crate::signal::mint::Mint;
use crate::signal::offered::CounterOffers;
use crate::signal::open::Open;
use crate::signal::peer::Peer;
use crate::turn::credentials::Credential;
use crate::units::Bitrate;
use crate::wire::ntp::{Epoch, NtpTime};
use crate::worker;
use crate::worker::pool::{Pool, WorkerConfig};
use crate::worker::random::random;

/// How long sessions get to say goodbye, and open requests to finish. Together below the 2 s that people wait
/// after Ctrl-C.
const GOODBYE: Duration = Duration::from_millis(1_000);
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// A server that is listening.
pub struct Server {
    app: Arc<App>,
    http: Listener,
    operator: Option<Listener>,
    admin: Option<(Listener, AdminKey)>,
    /// What HTTPS needs beside the listener.
    secured: Secured,
    /// Keeps what is announced fresh.
    announcing: Following,
}

impl Server {
    /// Opens all ports and starts the media threads.
    ///
    /// # Errors
    /// [`StartError`] names the port that is taken.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let exporter =
            Exporter::new(env!("CARGO_PKG_VERSION")).map_err(|e| StartError::System(e.to_string()))?;
        let (secured, tls) = Secured::begin(config, &exporter).await?;
        let (http, http_at) = bind("http.listen", config.http.listen).await?;
        let admin = match (config.admin.listen, &config.admin.key) {
            (Some(address), Some(key)) => {
                Some((listen("admin.listen", address, tls.clone()).await?, key.clone()))
            }
            _ => None,
        };
        let operator = match config.metrics.listen {
            Some(address) => Some(listen("metrics.listen", address, None).await?),
            None => None,
        };
        let identity = Identity::generate()?;
        let http_metrics = exporter.http();
        let (events, event_queue) = mpsc::unbounded_channel();
        let announcer = Announcer::begin(&config.media).await.map_err(StartError::Announce)?;
        let secrets = turn_secrets(&config.turn);
        let pool_config = worker_config(config, announcer.wanted(), http_at, &secrets);
        let tcp = pool_config.tcp;
        let pool = Pool::start(pool_config, events).await.map_err(StartError::Media)?;
        let announced = Announced { udp: pool.announced().to_vec(), tcp: pool.announced_tcp().to_vec() };
        if let Some(doubt) = surroundings::doubt(config, &announced.udp, Surroundings::look()) {
            tracing::warn!("{doubt}");
        }
        let http = share(config, http, tls, &pool)?;
        let ports = Ports { udp: pool.listening().to_vec(), tcp };
        let mut effective = config.clone();
        effective.media.listen.clone_from(&ports.udp);
        effective.http.listen = http_at;
        effective.metrics.listen = operator.as_ref().map(address_of).transpose()?;
        effective.admin.listen = admin.as_ref().map(|(listener, _)| address_of(listener)).transpose()?;
        let secret = secrets.into_iter().next().filter(|_| config.turn.enabled);
        let relay = secret.map(|secret| Relay::new(config, secret, http.scheme() == "https"));
        let telling = Telling { identity, epoch: epoch(), ice_over_tcp: config.media.tcp, relay };
        let control = Arc::new(Control::new(pool, limits(config)));
        let (announcing, told) = announcer.following(ports, announced, telling, control.clone());
        tokio::spawn(control.clone().run(event_queue));
        let app = App {
            control,
            told,
            auth: config.auth.clone(),
            public_url: config.public_url(),
            config: Arc::new(effective),
            mint: Mint::default(),
            answering: Answering::default(),
            counter_offers: CounterOffers::default(),
            guesses: Guesses::new(http_metrics.clone()),
            websockets: Open::default(),
            exporter,
            http_metrics,
        };
        Ok(Self { app: Arc::new(app), http, operator, admin, secured, announcing })
    }

    /// The address of the HTTP server, with the port that port 0 became.
    ///
    /// # Errors
    /// The system's.
    pub fn http_address(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// What a person who started the server wants to know: what to open, and where media goes.
    ///
    /// # Errors
    /// The system's.
    pub fn greeting(&self) -> io::Result<String> {
        let base = match &self.app.public_url {
            Some(url) => url.as_str().to_owned(),
            None => format!("{}://{}", self.http.scheme(), reachable(self.http_address()?)),
        };
        let metrics = match &self.operator {
            Some(listener) => format!("http://{}/metrics", reachable(listener.local_addr()?)),
            None => format!("{base}/metrics"),
        };
        let admin = match &self.admin {
            Some((listener, _)) => {
                let address = reachable(listener.local_addr()?);
                format!(
                    "\n  Admin     {}://{address}/admin/    (with admin.key as bearer token)",
                    listener.scheme()
                )
            }
            None => String::new(),
        };
        let media: Vec<_> = self.app.endpoint().candidates.udp.iter().map(ToString::to_string).collect();
        let access = access(&self.app.auth);
        let version = env!("CARGO_PKG_VERSION");
        let media = media.join(", ");
        Ok(format!(
            "Sluice {version}\n\
             \n  Page      {base}/\
             \n  Room      {base}/room/demo\
             \n  Publish   {base}/publish/demo     (from the browser)\
             \n  WHIP      {base}/whip/demo        (OBS, FFmpeg, GStreamer)\
             \n  Watch     {base}/watch/demo\
             \n  WHEP      {base}/whep/demo        (any WHEP player)\
             \n  Metrics   {metrics}{admin}\
             \n  Media     UDP {media}\
             \n  Access    {access}\n"
        ))
    }

    /// Serves until `stop` resolves, then ends all sessions.
    ///
    /// # Errors
    /// When a listening socket breaks.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let (stopping, stopped) = watch::channel(false);
        let with_metrics = self.operator.is_none();
        let mut servers = tokio::task::JoinSet::new();
        if let Some((listener, router)) = self.secured.redirect() {
            servers.spawn(serve(listener, router, stopped.clone()));
        }
        let clients = serve(self.http, signal::router(self.app.clone(), with_metrics), stopped.clone());
        servers.spawn(clients);
        if let Some(listener) = self.operator {
            servers.spawn(serve(listener, signal::operator_router(self.app.clone()), stopped.clone()));
        }
        if let Some((listener, key)) = self.admin {
            servers.spawn(serve(listener, signal::admin_router(self.app.clone(), key), stopped));
        }
        // Its tasks end with it.
        let mut renewal = tokio::task::JoinSet::new();
        self.secured.start(&mut renewal);
        renewal.spawn(self.announcing.watch());
        tokio::select! {
            () = stop => {}
            Some(ended) = servers.join_next() => return ended.map_err(io::Error::other)?,
            // Without it the server would go on answering and never carry anything: whoever supervises it shall know.
            () = self.app.control.pool().broken() => return Err(io::Error::other("a media thread ended by a bug")),
        }
        tracing::info!(sessions = self.app.control.directory().sessions(), "stopping");
        stopping.send_replace(true);
        self.app.control.stop(GOODBYE).await;
        let rest = async {
            self.app.websockets.none().await;
            while servers.join_next().await.is_some() {}
        };
        if tokio::time::timeout(LAST_REQUESTS, rest).await.is_err() {
            tracing::info!("connections that were still open are cut");
        }
        Ok(())
    }
}

/// Runs the server of a configuration until Ctrl-C or SIGTERM.
///
/// # Errors
/// When it cannot start, or a listening socket breaks.
pub fn run(config: &Config) -> Result<(), StartError> {
    log::init(&config.log);
    let system = |error: io::Error| StartError::System(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(system)?;
    let outcome = runtime.block_on(async {
        let server = Server::start(config).await?;
        println!("{}", server.greeting().map_err(system)?);
        server.serve(asked_to_stop()).await.map_err(system)
    });
    // Tasks of connections that nobody closes must not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    listener: Listener,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

/// The listener of the HTTP server, with media beside it where that is wanted.
fn share(
    config: &Config,
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    pool: &Pool,
) -> Result<Listener, StartError> {
    let ice = config.media.tcp && !pool.announced_tcp().is_empty();
    let carried = Carried { turn: config.turn.enabled, ice };
    let listener = if carried == (Carried { turn: false, ice: false }) {
        Listener::new(socket, tls)
    } else {
        let most = limits(config).sessions;
        let streams = Streams::new(pool.choose(), pool.stream_counters(), carried, most);
        Listener::shared(socket, tls, streams)
    };
    let (what, address) = ("http.listen", config.http.listen);
    listener.map_err(|error| StartError::Listen { what, address, error })
}

/// The address of a listener, with the port that port 0 became.
fn address_of(listener: &Listener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::System(error.to_string()))
}

fn limits(config: &Config) -> Limits {
    let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    Limits {
        sessions: count(config.limits.sessions),
        participants: count(config.limits.participants),
        viewers_wait: config.http.wait_for_stream,
    }
}

/// `http`: what the TCP port listens on. Clients may know it by another number.
fn worker_config(config: &Config, announce: Wanted, http: SocketAddr, secrets: &[String]) -> WorkerConfig {
    WorkerConfig {
        count: workers(config.worker.count),
        udp: UdpConfig {
            listen: config.media.listen.clone(),
            receive_buffer: config.media.receive_buffer.as_usize(),
            send_buffer: config.media.send_buffer.as_usize(),
            sharing: Sharing::Alone,
        },
        announce,
        tcp: (config.media.tcp || config.turn.enabled)
            .then(|| SocketAddr::new(http.ip(), config.tcp_port(http.port()))),
        turn: config.turn.enabled.then(|| turn_config(&config.turn, secrets)),
    }
}

/// What TURN credentials are made with. Where nothing is configured, only this process knows it.
fn turn_secrets(config: &TurnConfig) -> Vec<String> {
    if config.secrets.is_empty() {
        let secret: [u8; 32] = random();
        return vec![secret.iter().map(|byte| format!("{byte:02x}")).collect()];
    }
    config.secrets.iter().map(|secret| secret.reveal().to_owned()).collect()
}

fn turn_config(config: &TurnConfig, secrets: &[String]) -> worker::turn::TurnConfig {
    let user = |(name, password): (&String, &TurnPassword)| Credential {
        username: name.clone(),
        password: password.reveal().to_owned(),
    };
    let users = config.users.iter().map(user).collect();
    let bandwidth = (config.bandwidth > 0).then(|| Bitrate(u64::from(config.bandwidth) * 1_000));
    let mut made = worker::turn::TurnConfig::new(config.realm.as_str().to_owned(), users, secrets.to_vec());
    made.allocations = config.allocations;
    made.per_user = config.per_user;
    made.per_address = config.per_address;
    made.bandwidth = bandwidth;
    made
}

/// How many media threads a count in the configuration means: 0 is one for each CPU.
fn workers(count: u32) -> u8 {
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = if count == 0 { cpus() } else { usize::try_from(count).unwrap_or(usize::MAX) };
    u8::try_from(count.min(64)).unwrap_or(1)
}

/// Who may do what, in one line.
fn access(auth: &AuthConfig) -> &'static str {
    match (auth.stream_keys.is_empty(), auth.room_keys.is_empty()) {
        (true, true) => "open to everybody who can reach this server",
        (false, true) if auth.open => "publishing needs a stream key",
        (false, true) => {
            "publishing needs a stream key; rooms are for this machine only until they have a room key"
        }
        (true, false) if auth.open => "rooms need a room key",
        (true, false) => "rooms need a room key; publishing by WHIP needs a stream key, and there is none",
        (false, false) => "publishing needs a stream key, and rooms need a room key",
    }
}

/// An address that can be opened: a wildcard stands for this machine.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    drop(interrupt.await);
}

/// This moment on both clocks.
fn epoch() -> Epoch {
    // A clock before 1970 is wrong by so much that zero does as well.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch { instant: Instant::now(), ntp: NtpTime::since_1970(since_1970) }
}
