//! A room: everybody joins, everybody sees some others, and everybody pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::args::Args;
use crate::client::{Client, Publisher, Talk};
use crate::engine::{Command, EngineReport, durations};
use crate::peer::{Direct, Peer};
use crate::report::LatencyMs;
use crate::room_report::{JoinReport, PageReport, RoomReport};
use crate::room_socket::{Line, Sockets, Viewed, publisher_name};
use crate::scenario::Run;
use crate::server::Memory;
use crate::subscriber::{Csrcs, Subscriber};

/// How long everybody stays on a page before what came of it is counted.
const PAGE_STAYS: Duration = Duration::from_secs(3);

/// Runs the scenario.
pub fn measure(run: &mut Run) -> Result<()> {
    run.idle = run.monitor.as_ref().map_or(Memory::default(), |m| m.memory());
    let room = Room {
        run,
        name: run.args.room.as_deref().context("--room is missing")?,
        sockets: Sockets::new(&run.args.ws)?,
        csrcs: Arc::default(),
        members: Mutex::default(),
        times: Mutex::new(Times::new()),
    };
    let report = room.measure()?;
    if run.args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

struct Room<'a> {
    run: &'a Run<'a>,
    name: &'a str,
    sockets: Sockets,
    csrcs: Csrcs,
    /// By index; the publishers come first.
    members: Mutex<BTreeMap<u32, Member>>,
    times: Mutex<Times>,
}

struct Member {
    /// Of its client in the engine.
    id: u32,
    line: Arc<Line>,
    /// The mids of its video slots.
    slots: Vec<String>,
}

struct Times {
    open: Histogram<u64>,
    welcome: Histogram<u64>,
    applied: Histogram<u64>,
    offer_bytes: usize,
    answer_bytes: usize,
}

impl Times {
    fn new() -> Times {
        Times {
            open: durations(),
            welcome: durations(),
            applied: durations(),
            offer_bytes: 0,
            answer_bytes: 0,
        }
    }
}

impl Room<'_> {
    fn measure(&self) -> Result<RoomReport> {
        let args = self.run.args;
        let before = self.run.monitor.as_ref().map(|m| m.read());
        self.everybody_joins()?;
        let after = self.run.monitor.as_ref().map(|m| m.read());
        let cpu = before.zip(after).map(|(a, b)| (b.user + b.system).saturating_sub(a.user + a.system));

        let (media, engine) = self.run.window()?;
        let page = self.pages(&engine)?;
        let times = self.times.lock().unwrap();
        let join = JoinReport {
            open: LatencyMs::of(&times.open),
            welcome: LatencyMs::of(&times.welcome),
            applied: LatencyMs::of(&times.applied),
            connected: LatencyMs::of(&engine.connected_us),
            first_media: LatencyMs::of(&engine.first_media_us),
            first_video: LatencyMs::of(&engine.first_video_us),
            cpu_ms_per_join: cpu.map(|c| c.as_secs_f64() * 1e3 / f64::from(args.participants)),
            offer_bytes: times.offer_bytes,
            answer_bytes: times.answer_bytes,
        };
        Ok(RoomReport {
            participants: args.participants,
            publishing: args.publishing,
            slots: args.slots,
            join,
            page,
            sent_packets: engine.sent.iter().flat_map(|(_, n)| n).sum(),
            media,
            complaints: self.sockets.known.complaints.lock().unwrap().clone(),
        })
    }

    /// The publishers first, so that all others find at once what they want to see.
    fn everybody_joins(&self) -> Result<()> {
        let args = self.run.args;
        let (publishing, others) = (args.publishing, args.participants - args.publishing);
        self.run.connect(publishing, |_, index| self.join(index))?;
        self.run.wait_for("publishers", |s| s.publishers_connected >= publishing as usize)?;
        self.name_publishers()?;
        for index in 0..publishing {
            self.view(index, 0);
        }
        self.run.connect(others, |_, index| {
            self.join(publishing + index)?;
            self.view(publishing + index, 0);
            Ok(())
        })?;
        self.run.wait_for("participants", |s| s.subscribers_connected >= args.participants as usize)?;
        // A publisher that is alone has nobody to look at.
        let receiving = match publishing {
            0 => 0,
            1 => others as usize,
            _ => args.participants as usize,
        };
        self.run.wait_for("media", |s| s.subscribers_with_media >= receiving)?;
        let watching = if args.no_video || args.slots == 0 { 0 } else { receiving };
        self.run.wait_for("video", |s| s.subscribers_with_video >= watching)
    }

    fn join(&self, index: u32) -> Result<()> {
        self.try_join(index).with_context(|| format!("participant {index} of {}", self.name))
    }

    fn try_join(&self, index: u32) -> Result<()> {
        let args = self.run.args;
        let publishes = index < args.publishing;
        let (id, mut peer) = self.run.new_peer(Direct::Publish)?;
        let offer = peer.offer_for_room(args.slots, args.audio_slots)?;
        let sources = [(peer.audio, "mic"), (peer.video, "camera")];
        let sources = sources.into_iter().filter(|_| publishes);
        let tracks: Vec<Value> = sources
            .filter_map(|(mid, source)| Some(json!({"mid": mid?.to_string(), "source": source})))
            .collect();
        let name = if publishes { publisher_name(index) } else { format!("viewer {index}") };
        let mut join = json!({"t": "join", "id": 1, "v": 1, "room": self.name, "name": name, "sdp": offer, "tracks": tracks});
        if let Some(key) = &args.token {
            join["key"] = json!(key);
        }

        let opened = self.sockets.open()?;
        let (open_took, asked_at) = (opened.took, Instant::now());
        let welcomed = self.sockets.join(opened, join)?;
        let applying = Instant::now();
        peer.accept_answer(&welcomed.answer)?;
        {
            let mut times = self.times.lock().unwrap();
            times.open.saturating_record(open_took.as_micros() as u64);
            times.welcome.saturating_record(welcomed.took.as_micros() as u64);
            times.applied.saturating_record(applying.elapsed().as_micros() as u64);
            times.offer_bytes = offer.len();
            times.answer_bytes = welcomed.answer.len();
        }
        let (client, slots) = self.client(index, peer, asked_at);
        let line = Arc::new(self.sockets.serve(welcomed));
        let member = Member { id, line: line.clone(), slots };
        self.members.lock().unwrap().insert(index, member);
        self.run.start(id, client, Box::new(move || line.leave()));
        Ok(())
    }

    /// The client that sends and receives the media, and the mids of its video slots.
    fn client(&self, index: u32, peer: Peer, asked_at: Instant) -> (Client, Vec<String>) {
        let args = self.run.args;
        let pts = peer.payload_types();
        let talk = Talk { publishers: args.publishing, at_once: args.audio_slots };
        let publisher = || {
            let publisher = Publisher::new(index, &peer, &pts, &self.run.layers);
            publisher.in_bursts(args.burst).taking_turns(talk)
        };
        let publisher = (index < args.publishing).then(publisher);
        let streams = shown(index, args, 0);
        let subscriber = Subscriber::new(streams, &peer, pts, self.run.verifies(index), asked_at)
            .in_room(self.csrcs.clone());
        let slots = peer.slots.iter().map(|m| m.to_string()).collect();
        (Client::new(peer, publisher, Some(subscriber)), slots)
    }

    /// Waits until somebody was told of all tracks of all publishers.
    fn name_publishers(&self) -> Result<()> {
        let args = self.run.args;
        // Nobody is told of a publisher that is alone, before others join.
        if args.publishing < 2 {
            return Ok(());
        }
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let published = self.sockets.known.published();
            let complete = published.values().filter(|p| {
                (args.no_audio || p.audio_csrc.is_some()) && (args.no_video || p.video_csrc.is_some())
            });
            if complete.count() >= args.publishing as usize {
                let csrcs = published.iter().flat_map(|(stream, p)| {
                    [p.audio_csrc, p.video_csrc].into_iter().flatten().map(|csrc| (csrc, *stream))
                });
                let csrcs: HashMap<u32, u32> = csrcs.collect();
                return OnceLock::set(&self.csrcs, csrcs).ok().context("publishers were named before");
            }
            if Instant::now() > end {
                bail!("gave up waiting for the tracks of all publishers: {published:?}");
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Tells the server what this participant sees on a page.
    fn view(&self, index: u32, page: u32) -> Option<Receiver<Viewed>> {
        let published = self.sockets.known.published();
        let members = self.members.lock().unwrap();
        let member = members.get(&index)?;
        let tracks = shown(index, self.run.args, page);
        let slots: Vec<Value> = member
            .slots
            .iter()
            .zip(tracks)
            .filter_map(|(mid, stream)| {
                let track = published.get(&stream)?.video_track.as_ref()?;
                Some(json!({"mid": mid, "track": track, "w": 640, "h": 360}))
            })
            .collect();
        Some(member.line.view(json!({"slots": slots, "audio": {"auto": true}})))
    }

    /// Everybody pages at the same moment, several times.
    fn pages(&self, window: &EngineReport) -> Result<PageReport> {
        let args = self.run.args;
        let (mut ok, mut rebound, mut missing) = (durations(), durations(), 0);
        let pages = if args.publishing < 2 || args.no_video { 0 } else { args.pages };
        for page in 1..=pages {
            self.run.engine.send(Command::WatchChanges);
            self.run.engine.status(); // It has been done when this is answered.
            let views: Vec<_> =
                (0..args.participants).filter_map(|i| Some((i, self.view(i, page)?))).collect();
            let mut sent = HashMap::new();
            for (index, view) in views {
                let viewed = view.recv_timeout(Duration::from_secs(10)).context("a view without its ok")?;
                ok.saturating_record((viewed.ok_ns - viewed.sent_ns) / 1000);
                if let Some(member) = self.members.lock().unwrap().get(&index) {
                    let changing = shown(index, args, page)
                        .iter()
                        .zip(shown(index, args, page - 1))
                        .filter(|(new, old)| **new != *old)
                        .count();
                    sent.insert(member.id, (viewed.sent_ns, changing));
                }
            }
            sleep(PAGE_STAYS);
            for (id, changes) in self.run.engine.changes() {
                let Some((sent_ns, changing)) = sent.get(&id) else { continue };
                let changed: Vec<u64> = changes.into_iter().flatten().collect();
                missing += changing.saturating_sub(changed.len()) as u64;
                for at in changed {
                    rebound.saturating_record(at.saturating_sub(*sent_ns) / 1000);
                }
            }
        }
        // Publishers count them from the beginning of the window.
        let engine = self.run.engine.report()?;
        Ok(PageReport {
            pages,
            ok: LatencyMs::of(&ok),
            rebound: LatencyMs::of(&rebound),
            missing,
            keyframe_requests: engine.keyframe_requests.saturating_sub(window.keyframe_requests),
            keyframes: engine.keyframes.saturating_sub(window.keyframes),
        })
    }
}

/// The streams that a participant sees on a page, one for each slot as far as there are others. Every slot shows another
/// one on the next page, if there are two others.
fn shown(index: u32, args: &Args, page: u32) -> Vec<u32> {
    let others: Vec<u32> = (0..args.publishing).filter(|stream| *stream != index).collect();
    let Ok(count) = u32::try_from(others.len()) else { return vec![] };
    let at_once = args.slots.min(count);
    let step = if count > 0 && at_once % count == 0 { 1 } else { at_once };
    (0..at_once)
        .filter_map(|slot| others.get(((index + page * step + slot) % count) as usize).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn args(publishing: &str, slots: &str) -> Args {
        Args::parse_from(["rtcload", "--room", "r", "--publishing", publishing, "--slots", slots])
    }

    #[test]
    fn nobody_sees_itself_or_anybody_twice() {
        let args = args("10", "9");
        for index in 0..100 {
            let mut streams = shown(index, &args, 3);
            assert!(!streams.contains(&index));
            streams.sort_unstable();
            streams.dedup();
            assert_eq!(streams.len(), 9);
        }
    }

    #[test]
    fn every_slot_changes_with_the_page() {
        for (publishing, slots) in [("10", "9"), ("30", "9"), ("4", "9"), ("12", "6")] {
            let args = args(publishing, slots);
            for index in 0..20 {
                for page in 0..4 {
                    let (old, new) = (shown(index, &args, page), shown(index, &args, page + 1));
                    assert!(old.iter().zip(&new).all(|(a, b)| a != b), "{publishing} {slots} {index} {page}");
                }
            }
        }
    }
}
