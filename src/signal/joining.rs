//! The way into a room: a join becomes a participant with a peer connection, or a refusal that says why.

use std::sync::Arc;
use std::time::Instant;

use super::app::App;
use super::guesses::WAIT;
use crate::ids::{ParticipantId, RoomName};
use crate::protocol::client::{ClientMessage, Join, Request};
use crate::protocol::server::{ErrorCode, Limits, Welcome};
use crate::protocol::{MAX_DATA, MAX_MESSAGE, MESSAGES_PER_SECOND, PING_EVERY, RESUME_WITHIN, VERSION};
use crate::room::control::{JoinError, Joining};
use crate::room::event::{Entry, Media};
use crate::room::outbox::{Outbox, Seat, Texts};
use crate::room::resource::ResumeToken;
use crate::sfu::session::Session;
use crate::sfu::session::negotiate::{Answered, answer};
use crate::sfu::session::offer::{OfferError, Role};
use crate::turn::strangers::Host;

/// Why somebody is not let in.
pub(super) struct Refused {
    /// The `id` of the join.
    pub(super) re: Option<u32>,
    pub(super) code: ErrorCode,
    pub(super) message: String,
    /// When to try again, where that can help.
    pub(super) retry_ms: Option<u32>,
}

impl Refused {
    pub(super) fn new(re: Option<u32>, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { re, code, message: message.into(), retry_ms: None }
    }

    fn later(self, retry_ms: u32) -> Self {
        Self { retry_ms: Some(retry_ms), ..self }
    }
}

/// From where somebody asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// From this very machine.
    pub(super) is_local: bool,
    /// Whose tries of keys are counted.
    pub(super) whom: Option<Host>,
}

/// Who joins as whom.
struct Identity {
    participant: ParticipantId,
    token: ResumeToken,
    resumes: bool,
}

/// Takes a client in, or back in.
pub(super) async fn join(app: &Arc<App>, request: Request, caller: Caller) -> Result<(Seat, Texts), Refused> {
    let re = request.id;
    let refused = |code, message: &str| Refused::new(re, code, message);
    let ClientMessage::Join(join) = request.message else {
        return Err(refused(ErrorCode::Order, "The first message is a join."));
    };
    if join.v != VERSION {
        let message = format!("This server speaks version {VERSION} of the room protocol.");
        return Err(Refused::new(re, ErrorCode::Version, message));
    }
    let room = room_name(&join.room).map_err(|error| Refused::new(re, ErrorCode::RoomName, error))?;
    if join.key.is_some() && !app.guesses.may_try(Instant::now(), caller.whom) {
        let message = "Too many wrong keys came from your address. Wait for two seconds.";
        return Err(refused(ErrorCode::Rate, message).later(1_000 * WAIT as u32));
    }
    if !app.auth.admits_to_room(room.as_str(), join.key.as_deref(), caller.is_local) {
        if join.key.is_some() {
            app.guesses.failed(Instant::now(), caller.whom);
        }
        return Err(refused(ErrorCode::RoomKey, "This room needs its key, and this is not it."));
    }
    if !app.control.pool().is_running() {
        return Err(refused(ErrorCode::Busy, "A media thread has stopped. Restart the server."));
    }
    let identity = identity(app, &join, &room).ok_or_else(|| {
        refused(ErrorCode::Resume, "There is nothing to resume with this token. Join anew, without it.")
    })?;
    let Join { name, meta, sdp, tracks, .. } = join;
    if sdp.is_none() && !identity.resumes {
        return Err(refused(ErrorCode::Offer, "A join needs an offer."));
    }
    let answered = match sdp {
        Some(sdp) => Some(negotiate(app, &room, sdp).await.map_err(|error| Refused { re, ..error })?),
        None => None,
    };
    let (session, answer, media) = taken_apart(answered);
    let welcome = Box::new(welcome(app, &room, &identity, answer));
    let entry = Entry { participant: identity.participant, name, meta, media, tracks, request: re, welcome };
    let seat = Seat { room: room.clone(), participant: identity.participant, socket: app.mint.socket() };
    let (outbox, texts) = Outbox::new(seat.clone());
    let Identity { participant, token, resumes } = identity;
    tracing::info!(%room, %participant, resumes, "join");
    let joining = Joining { room, entry, resumes, session, token, outbox };
    app.control.join(joining).map_err(|error| too_bad(re, &error))?;
    Ok((seat, texts))
}

/// A new participant, or the one that a token resumes. `None` when it resumes nobody.
fn identity(app: &App, join: &Join, room: &RoomName) -> Option<Identity> {
    let Some(token) = &join.resume else {
        return Some(Identity {
            participant: app.mint.participant(),
            token: app.mint.resume(),
            resumes: false,
        });
    };
    let token = token.parse().ok()?;
    let (of, participant) = app.control.directory().resumes(token)?;
    (of == *room).then_some(Identity { participant, token, resumes: true })
}

async fn negotiate(app: &Arc<App>, room: &RoomName, sdp: String) -> Result<Answered, Refused> {
    let (shared, room) = (app.clone(), room.clone());
    let answered = app.answering.run(move || {
        let new = shared.mint.session(shared.control.place(&room));
        answer(&sdp, Role::Join, &new, &shared.endpoint(), Instant::now())
    });
    let busy = |_| {
        let message = "Too many clients are joining at this moment. Try again in a second.";
        Refused::new(None, ErrorCode::Busy, message).later(1_000)
    };
    answered
        .await
        .map_err(busy)?
        .map_err(|error: OfferError| Refused::new(None, ErrorCode::Offer, error.to_string()))
}

fn taken_apart(answered: Option<Answered>) -> (Option<Session>, Option<String>, Option<Media>) {
    let Some(Answered { session, answer, tracks, slots, .. }) = answered else { return (None, None, None) };
    let media = Media { session: session.id, tracks, slots };
    (Some(session), Some(answer), Some(media))
}

/// What the room does not know of a welcome; it adds the rest.
fn welcome(app: &App, room: &RoomName, identity: &Identity, sdp: Option<String>) -> Welcome {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let ms = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    Welcome {
        v: VERSION,
        room: room.to_string(),
        you: identity.participant,
        name: String::new(),
        resume_token: identity.token.to_string(),
        resumed: identity.resumes,
        sdp,
        tracks: Vec::new(),
        slots: Vec::new(),
        peers: Vec::new(),
        ice_servers: app.ice_servers().of(&identity.participant.to_string()),
        limits: Limits {
            message_bytes: count(MAX_MESSAGE),
            messages_per_second: MESSAGES_PER_SECOND,
            data_bytes: count(MAX_DATA),
            resume_ms: ms(RESUME_WITHIN),
            ping_ms: ms(PING_EVERY),
        },
    }
}

fn too_bad(re: Option<u32>, error: &JoinError) -> Refused {
    let refused = |code| Refused::new(re, code, error.to_string());
    match error {
        JoinError::Full(_) | JoinError::RoomFull(_) => refused(ErrorCode::Full).later(30_000),
        JoinError::NothingToResume => refused(ErrorCode::Resume),
        JoinError::WorkerGone | JoinError::Watch(_) => refused(ErrorCode::Busy),
    }
}

/// The name of a room, or what is wrong with it.
fn room_name(name: &str) -> Result<RoomName, String> {
    name.parse().map_err(|error| format!("This is no room name: {error}."))
}
