//! How streams are published and played: WHIP/WHEP, or Janus's own API.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::peer::Peer;

/// Ends one session on the server when called.
pub type Close = Box<dyn FnOnce() -> Result<()> + Send>;

/// A server that streams can be published to and played from.
pub trait Target: Send + Sync {
    fn publish(&self, stream: u32, peer: &mut Peer) -> Result<Close>;
    fn subscribe(&self, stream: u32, peer: &mut Peer) -> Result<Close>;
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .max_idle_connections(64)
        .max_idle_connections_per_host(64)
        .build()
        .into()
}

/// WHIP (RFC 9725) and WHEP over URL templates.
pub struct Whip {
    pub publish_url: String,
    pub play_url: String,
    pub token: Option<String>,
    /// Streams per room, for `{room}` in the templates.
    pub room_size: u32,
    agent: ureq::Agent,
}

impl Whip {
    pub fn new(publish_url: String, play_url: String, token: Option<String>, room_size: u32) -> Whip {
        Whip { publish_url, play_url, token, room_size, agent: agent(Duration::from_secs(20)) }
    }

    fn url(&self, template: &str, stream: u32) -> String {
        template
            .replace("{stream}", &format!("s{stream}"))
            .replace("{room}", &format!("r{}", stream / self.room_size))
    }

    fn negotiate(&self, url: &str, peer: &mut Peer) -> Result<Close> {
        let offer = peer.offer()?;
        let mut request = self.agent.post(url).header("Content-Type", "application/sdp");
        let auth = self.token.as_ref().map(|t| format!("Bearer {t}"));
        if let Some(auth) = &auth {
            request = request.header("Authorization", auth);
        }
        let mut response = request.send(offer.as_str()).with_context(|| format!("POST {url}"))?;
        let status = response.status();
        let location =
            response.headers().get("location").and_then(|l| l.to_str().ok()).map(|l| resolve(url, l));
        let body = response.body_mut().read_to_string().unwrap_or_default();
        if !status.is_success() {
            bail!("POST {url}: {status}: {}", body.chars().take(300).collect::<String>());
        }
        peer.accept_answer(&body)?;

        let agent = self.agent.clone();
        Ok(Box::new(move || {
            let Some(url) = location else { return Ok(()) };
            let mut request = agent.delete(&url);
            if let Some(auth) = &auth {
                request = request.header("Authorization", auth);
            }
            let response = request.call().with_context(|| format!("DELETE {url}"))?;
            if !response.status().is_success() {
                bail!("DELETE {url}: {}", response.status());
            }
            Ok(())
        }))
    }
}

impl Target for Whip {
    fn publish(&self, stream: u32, peer: &mut Peer) -> Result<Close> {
        self.negotiate(&self.url(&self.publish_url, stream), peer)
    }
    fn subscribe(&self, stream: u32, peer: &mut Peer) -> Result<Close> {
        self.negotiate(&self.url(&self.play_url, stream), peer)
    }
}

/// The absolute URL of a Location header.
fn resolve(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.into();
    }
    let authority_end = base.find("://").map_or(0, |i| {
        let start = i + 3;
        base[start..].find('/').map_or(base.len(), |j| start + j)
    });
    if location.starts_with('/') {
        return format!("{}{location}", &base[..authority_end]);
    }
    let dir_end = base.rfind('/').filter(|i| *i >= authority_end).map_or(base.len(), |i| i + 1);
    format!("{}{location}", &base[..dir_end])
}

/// Janus videoroom over Janus's HTTP API: one session, one handle per peer.
pub struct Janus {
    url: String,
    session: u64,
    first_room: u64,
    room_size: u32,
    agent: ureq::Agent,
    /// Who waits for which transaction.
    waiting: Arc<Mutex<HashMap<String, Sender<Value>>>>,
    /// Feed id of each published stream.
    feeds: Mutex<HashMap<u32, u64>>,
    rooms: Mutex<HashSet<u64>>,
    control: u64,
    counter: std::sync::atomic::AtomicU64,
    codecs: (String, String),
}

impl Janus {
    pub fn connect(url: &str, room_size: u32, audio: &str, video: &str) -> Result<Janus> {
        let agent = agent(Duration::from_secs(20));
        let created = post(&agent, url, json!({"janus": "create", "transaction": "create"}))?;
        let session = created["data"]["id"].as_u64().context("no Janus session id")?;
        let waiting: Arc<Mutex<HashMap<String, Sender<Value>>>> = Arc::default();
        spawn_long_poll(format!("{url}/{session}?maxev=50"), waiting.clone());
        let mut janus = Janus {
            url: format!("{url}/{session}"),
            session,
            // Rooms of their own for each run.
            first_room: 1_000_000 + u64::from(std::process::id()) * 10_000,
            room_size,
            agent,
            waiting,
            feeds: Mutex::default(),
            rooms: Mutex::default(),
            control: 0,
            counter: 0.into(),
            codecs: (audio.into(), video.into()),
        };
        janus.control = janus.attach()?;
        Ok(janus)
    }

    fn transaction(&self) -> String {
        let n = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("t{}-{n}", self.session)
    }

    fn attach(&self) -> Result<u64> {
        let body =
            json!({"janus": "attach", "plugin": "janus.plugin.videoroom", "transaction": self.transaction()});
        post(&self.agent, &self.url, body)?["data"]["id"].as_u64().context("no Janus handle id")
    }

    /// Sends a plugin message and waits for its event, or takes the immediate answer.
    fn message(&self, handle: u64, body: Value, jsep: Option<Value>) -> Result<Value> {
        let transaction = self.transaction();
        let (tx, rx): (Sender<Value>, Receiver<Value>) = channel();
        self.waiting.lock().unwrap().insert(transaction.clone(), tx);
        let mut message = json!({"janus": "message", "transaction": transaction, "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let reply = post(&self.agent, &format!("{}/{handle}", self.url), message)?;
        let event = if reply["janus"] == "ack" {
            rx.recv_timeout(Duration::from_secs(20)).with_context(|| format!("no Janus event for {body}"))?
        } else {
            reply
        };
        self.waiting.lock().unwrap().remove(&transaction);
        let data = &event["plugindata"]["data"];
        if let Some(error) = data["error"].as_str() {
            bail!("Janus: {error} ({body})");
        }
        Ok(event)
    }

    /// The stream's room; it is created when first asked for.
    fn room(&self, stream: u32) -> Result<u64> {
        let room = self.first_room + u64::from(stream / self.room_size);
        let mut rooms = self.rooms.lock().unwrap();
        if rooms.insert(room) {
            let body = json!({
                "request": "create", "room": room, "publishers": self.room_size,
                "audiocodec": self.codecs.0, "videocodec": self.codecs.1,
                "bitrate": 0, "fir_freq": 0, "notify_joining": false, "audiolevel_event": false,
            });
            self.message(self.control, body, None)?;
        }
        Ok(room)
    }

    /// All our candidates were in the SDP.
    fn end_of_candidates(&self, handle: u64) -> Result<()> {
        let body =
            json!({"janus": "trickle", "transaction": self.transaction(), "candidate": {"completed": true}});
        post(&self.agent, &format!("{}/{handle}", self.url), body).map(|_| ())
    }

    fn close(&self, handle: u64) -> Close {
        let (agent, url) = (self.agent.clone(), format!("{}/{handle}", self.url));
        let transaction = self.transaction();
        Box::new(move || {
            post(&agent, &url, json!({"janus": "detach", "transaction": transaction})).map(|_| ())
        })
    }
}

impl Target for Janus {
    fn publish(&self, stream: u32, peer: &mut Peer) -> Result<Close> {
        let room = self.room(stream)?;
        let handle = self.attach()?;
        let join =
            json!({"request": "join", "ptype": "publisher", "room": room, "display": format!("s{stream}")});
        let joined = self.message(handle, join, None)?;
        let id = joined["plugindata"]["data"]["id"].as_u64().context("no publisher id")?;
        let offer = json!({"type": "offer", "sdp": peer.offer()?});
        let configured = self.message(handle, json!({"request": "publish"}), Some(offer))?;
        peer.accept_answer(configured["jsep"]["sdp"].as_str().context("no answer from Janus")?)?;
        self.end_of_candidates(handle)?;
        self.feeds.lock().unwrap().insert(stream, id);
        Ok(self.close(handle))
    }

    fn subscribe(&self, stream: u32, peer: &mut Peer) -> Result<Close> {
        let room = self.room(stream)?;
        let feed = *self.feeds.lock().unwrap().get(&stream).context("stream is not published")?;
        let handle = self.attach()?;
        let join =
            json!({"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}]});
        let attached = self.message(handle, join, None)?;
        let answer = peer.answer(attached["jsep"]["sdp"].as_str().context("no offer from Janus")?)?;
        let answer = json!({"type": "answer", "sdp": answer});
        self.message(handle, json!({"request": "start"}), Some(answer))?;
        self.end_of_candidates(handle)?;
        Ok(self.close(handle))
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        for room in std::mem::take(self.rooms.get_mut().unwrap()) {
            let _ = self.message(self.control, json!({"request": "destroy", "room": room}), None);
        }
        let destroy = json!({"janus": "destroy", "transaction": self.transaction()});
        let _ = post(&self.agent, &self.url, destroy);
    }
}

fn post(agent: &ureq::Agent, url: &str, body: Value) -> Result<Value> {
    let mut response = agent
        .post(url)
        .header("Content-Type", "application/json")
        .send(body.to_string())
        .with_context(|| format!("POST {url}"))?;
    let reply: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
    if reply["janus"] == "error" {
        bail!("Janus: {} ({})", reply["error"]["reason"], body["janus"]);
    }
    Ok(reply)
}

/// Hands events to those who wait for them, until the session ends.
fn spawn_long_poll(url: String, waiting: Arc<Mutex<HashMap<String, Sender<Value>>>>) {
    let agent = agent(Duration::from_secs(60));
    std::thread::spawn(move || {
        while let Ok(mut response) = agent.get(&url).call() {
            let Ok(text) = response.body_mut().read_to_string() else {
                break;
            };
            let Ok(reply) = serde_json::from_str::<Value>(&text) else {
                break;
            };
            let events = match reply {
                Value::Array(events) => events,
                one if one["janus"] == "error" => break,
                one => vec![one],
            };
            for event in events.into_iter().filter(|e| e["janus"] == "event") {
                let Some(transaction) = event["transaction"].as_str() else {
                    continue;
                };
                if let Some(tx) = waiting.lock().unwrap().remove(transaction) {
                    let _ = tx.send(event);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_the_request() {
        let base = "http://h:1/whip/s1";
        assert_eq!(resolve(base, "https://x/y"), "https://x/y");
        assert_eq!(resolve(base, "/session/9"), "http://h:1/session/9");
        assert_eq!(resolve(base, "9"), "http://h:1/whip/9");
        assert_eq!(resolve("http://h:1", "/a"), "http://h:1/a");
    }
}
