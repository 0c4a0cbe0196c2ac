//! The room protocol's WebSocket: one task for each participant, on one thread beside the media thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::udp::realtime_ns;

/// How long the server may take for any one step.
const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<TcpStream>;

/// What others have to know of a publisher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    pub audio_csrc: Option<u32>,
    pub video_csrc: Option<u32>,
    pub video_track: Option<String>,
}

/// What all participants together have been told, by stream.
#[derive(Default)]
pub struct Known {
    published: Mutex<BTreeMap<u32, Published>>,
    /// What went wrong without being asked for.
    pub complaints: Mutex<Vec<String>>,
}

impl Known {
    pub fn published(&self) -> BTreeMap<u32, Published> {
        self.published.lock().unwrap().clone()
    }

    /// Takes in the `peers` of a welcome, or the `set` of what comes later.
    fn learn(&self, peers: &Value) {
        for peer in peers.as_array().into_iter().flatten() {
            let Some(stream) = peer["name"].as_str().and_then(stream_of) else { continue };
            let mut published = self.published.lock().unwrap();
            let known = published.entry(stream).or_default();
            for track in peer["tracks"].as_array().into_iter().flatten() {
                let csrc = track["csrc"].as_u64().and_then(|c| u32::try_from(c).ok());
                match track["source"].as_str() {
                    Some("mic") => known.audio_csrc = csrc,
                    Some("camera") => {
                        known.video_csrc = csrc;
                        known.video_track = track["id"].as_str().map(String::from);
                    }
                    _ => {}
                }
            }
        }
    }

    fn complain(&self, what: String) {
        self.complaints.lock().unwrap().push(what);
    }
}

/// Publishers tell their stream by their name.
pub fn publisher_name(stream: u32) -> String {
    format!("publisher {stream}")
}

fn stream_of(name: &str) -> Option<u32> {
    name.strip_prefix("publisher ")?.parse().ok()
}

pub struct Sockets {
    runtime: Arc<Runtime>,
    /// Host and port, and the whole URL.
    authority: String,
    url: String,
    pub known: Arc<Known>,
}

/// A WebSocket on which nothing has been said.
pub struct Opened {
    socket: Socket,
    /// From connecting to the end of the upgrade.
    pub took: Duration,
}

/// A participant that the server has let in.
pub struct Welcomed {
    socket: Socket,
    pub answer: String,
    /// From sending the join.
    pub took: Duration,
}

/// When a view was sent and when the server said that it was carried out, in CLOCK_REALTIME nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Viewed {
    pub sent_ns: u64,
    pub ok_ns: u64,
}

enum Order {
    View(Value, Sender<Viewed>),
    /// What is sent with it is dropped when the task ends.
    Leave(Sender<()>),
}

/// A handle to the task that serves a participant's WebSocket.
pub struct Line {
    orders: mpsc::UnboundedSender<Order>,
    /// What runs the task.
    _runtime: Arc<Runtime>,
}

impl Line {
    /// Sends a view; its reply comes later.
    pub fn view(&self, view: Value) -> Receiver<Viewed> {
        let (tx, rx) = channel();
        let _ = self.orders.send(Order::View(view, tx));
        rx
    }

    /// Leaves the room and waits until the server has said good bye.
    pub fn leave(&self) -> Result<()> {
        let (end, ended) = channel();
        let _ = self.orders.send(Order::Leave(end));
        match ended.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => bail!("no bye from the server"),
            _ => Ok(()),
        }
    }
}

impl Sockets {
    pub fn new(url: &str) -> Result<Sockets> {
        let rest = url.strip_prefix("ws://").context("--ws must begin with ws://")?;
        let host = rest.split('/').next().unwrap_or(rest);
        let authority = if host.contains(':') { host.into() } else { format!("{host}:80") };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("websockets")
            .enable_all()
            .build()?;
        Ok(Sockets { runtime: Arc::new(runtime), authority, url: url.into(), known: Arc::default() })
    }

    pub fn open(&self) -> Result<Opened> {
        let start = Instant::now();
        let opening = async {
            let tcp = TcpStream::connect(&self.authority).await?;
            tcp.set_nodelay(true)?;
            let (socket, _) = tokio_tungstenite::client_async(&self.url, tcp).await?;
            anyhow::Ok(socket)
        };
        let socket = self
            .runtime
            .block_on(async { timeout(PATIENCE, opening).await })
            .context("the WebSocket does not open")?
            .with_context(|| format!("opening {}", self.url))?;
        Ok(Opened { socket, took: start.elapsed() })
    }

    /// Sends the join and waits for the welcome.
    pub fn join(&self, opened: Opened, join: Value) -> Result<Welcomed> {
        let mut socket = opened.socket;
        let join = join.to_string();
        let start = Instant::now();
        let joining = async {
            socket.send(Message::text(join)).await?;
            loop {
                let frame = socket.next().await.context("the WebSocket ended before the welcome")??;
                let Message::Text(text) = frame else { continue };
                let took = start.elapsed();
                let message: Value = serde_json::from_str(&text)?;
                match message["t"].as_str() {
                    Some("welcome") => return Ok((message, took)),
                    Some("error" | "bye") => bail!("not let in: {text}"),
                    _ => {}
                }
            }
        };
        let (welcome, took) =
            self.runtime.block_on(async { timeout(PATIENCE, joining).await }).context("no welcome")??;
        self.known.learn(&welcome["peers"]);
        let answer = welcome["sdp"].as_str().context("a welcome without an answer")?.into();
        Ok(Welcomed { socket, answer, took })
    }

    /// Serves the WebSocket from now on.
    pub fn serve(&self, welcomed: Welcomed) -> Line {
        let (orders, received) = mpsc::unbounded_channel();
        let known = self.known.clone();
        self.runtime.spawn(async move {
            if let Err(error) = serve(welcomed.socket, received, &known).await {
                known.complain(format!("{error:#}"));
            }
        });
        Line { orders, _runtime: self.runtime.clone() }
    }
}

/// What has to be known of every message.
#[derive(Deserialize)]
struct Head {
    t: String,
    re: Option<u32>,
}

async fn serve(mut socket: Socket, mut orders: mpsc::UnboundedReceiver<Order>, known: &Known) -> Result<()> {
    let mut waiting: HashMap<u32, (u64, Sender<Viewed>)> = HashMap::new();
    let mut next_id = 2;
    let mut leaving = None;
    loop {
        let frame = tokio::select! {
            frame = socket.next() => frame,
            Some(order) = orders.recv() => {
                let message = match order {
                    Order::View(mut view, reply) => {
                        view["t"] = json!("view");
                        view["id"] = json!(next_id);
                        waiting.insert(next_id, (realtime_ns(), reply));
                        next_id += 1;
                        view
                    }
                    Order::Leave(end) => {
                        leaving = Some(end);
                        json!({"t": "leave"})
                    }
                };
                socket.send(Message::text(message.to_string())).await?;
                continue;
            }
        };
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) | None => return Ok(()),
            Some(Ok(_)) => continue,
            Some(Err(_)) if leaving.is_some() => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        };
        let head: Head = serde_json::from_str(&text)?;
        match head.t.as_str() {
            "ok" => {
                if let Some((sent_ns, reply)) = head.re.and_then(|re| waiting.remove(&re)) {
                    let _ = reply.send(Viewed { sent_ns, ok_ns: realtime_ns() });
                }
            }
            "peers" => known.learn(&serde_json::from_str::<Value>(&text)?["set"]),
            "error" => known.complain(text.to_string()),
            "bye" if leaving.is_none() => known.complain(text.to_string()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_are_known_by_their_names_and_others_are_not() {
        let known = Known::default();
        known.learn(&json!([
            {"id": "p1", "name": publisher_name(4), "tracks": [
                {"id": "t7", "source": "mic", "csrc": 7},
                {"id": "t8", "source": "camera", "csrc": 8}
            ]},
            {"id": "p2", "name": "viewer 5", "tracks": []}
        ]));
        let four = Published { audio_csrc: Some(7), video_csrc: Some(8), video_track: Some("t8".into()) };
        assert_eq!(known.published(), BTreeMap::from([(4, four)]));
    }
}
