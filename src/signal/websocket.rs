//! The WebSocket of a room participant: in with a join, then messages both ways until one side ends it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::app::App;
use super::error::Problem;
use super::guesses;
use super::ice_servers::RENEWED_EVERY;
use super::joining::{self, Caller, Refused};
use super::peer::Peer;
use super::rate::Rate;
use crate::protocol::client::{ClientMessage, Request};
use crate::protocol::server::{Bye, ByeCode, Error, ErrorCode, IceServers, Reply, ServerMessage};
use crate::protocol::{JOIN_WITHIN, MAX_MESSAGE, PING_EVERY};
use crate::room::event::Event;
use crate::room::outbox::{Seat, Texts};

/// How long a text may take to be written before the client counts as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How many pings may stay without any sign of life.
const SILENT_PINGS: u32 = 2;
/// How long a client may take to answer the end of its connection. Until then what it still sends is read: a socket that
/// is closed on unread bytes resets the connection, and then the client may never see why it was ended.
const PART_WITHIN: Duration = Duration::from_secs(1);
/// How much is read from a socket at once. Every connection holds that much; only offers are longer.
const READ_BUFFER: usize = 8 * 1024;
/// When a client that sent too much may come back, in milliseconds.
const RETRY_FLOOD: u32 = 10_000;
/// What messages cost of the client's budget: an offer is work for the media thread, and a view has all slots of the room
/// worked out anew.
const OFFER_COST: u32 = 20;
const VIEW_COST: u32 = 2;
/// A message to others costs one more for each so many bytes of it: all others have to take them.
const BYTES_OF_COST: usize = 8 * 1024;

const NOT_TEXT: &str = "Messages are text frames.";

/// `GET /ws`
pub(super) async fn open(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| {
        let detail = "This address speaks WebSocket: connect to it with ws:// or wss://.";
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade", "Upgrade required", detail)
            .with(header::UPGRADE, "websocket")
    })?;
    let caller = Caller { is_local: peer.is_local(&headers), whom: guesses::whom(&peer, &headers) };
    let upgrade =
        upgrade.read_buffer_size(READ_BUFFER).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| serve(app, socket, caller)))
}

async fn serve(app: Arc<App>, mut socket: WebSocket, caller: Caller) {
    let _counted = app.websockets.count();
    let refused = match timeout(JOIN_WITHIN, first(&mut socket)).await {
        Ok(First::Request(request)) => match joining::join(&app, *request, caller).await {
            Ok((seat, texts)) => return Client::new(app, socket, seat, texts).run().await,
            Err(refused) => refused,
        },
        Ok(First::Refused(error)) => Refused::new(None, ErrorCode::BadMessage, error),
        Ok(First::Gone) => return linger(socket).await,
        Ok(First::Broken) => return part(socket, &[], close_code::POLICY).await,
        Err(_) => {
            let message = format!("The first message is a join, within {} s.", JOIN_WITHIN.as_secs());
            Refused::new(None, ErrorCode::Order, message)
        }
    };
    turn_away(socket, refused).await;
}

/// How a connection begins.
enum First {
    Request(Box<Request>),
    /// It is no message.
    Refused(String),
    /// The client went away.
    Gone,
    /// The connection broke, or the client broke the rules of WebSockets.
    Broken,
}

async fn first(socket: &mut WebSocket) -> First {
    loop {
        return match socket.recv().await {
            Some(Ok(Message::Text(text))) => match parse(&text) {
                Ok(request) => First::Request(Box::new(request)),
                Err(error) => First::Refused(error),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Binary(_))) => First::Refused(NOT_TEXT.to_owned()),
            Some(Ok(Message::Close(_))) | None => First::Gone,
            Some(Err(_)) => First::Broken,
        };
    }
}

fn parse(text: &str) -> Result<Request, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("This is not a message of the room protocol: {error}."))
}

/// What a message of so many bytes costs.
fn cost(message: &ClientMessage, bytes: usize) -> u32 {
    match message {
        ClientMessage::Offer(_) => OFFER_COST,
        ClientMessage::View(_) => VIEW_COST,
        ClientMessage::Send(_) => 1 + u32::try_from(bytes / BYTES_OF_COST).unwrap_or(u32::MAX - 1),
        _ => 1,
    }
}

async fn turn_away(socket: WebSocket, refused: Refused) {
    let Refused { re, code, message, retry_ms } = refused;
    tracing::info!(?code, "not let in");
    let bye = Bye { code: ByeCode::Refused, message: message.clone(), retry_ms };
    let words = [
        Reply { re, message: ServerMessage::Error(Error { code, message }) },
        Reply { re: None, message: ServerMessage::Bye(bye) },
    ];
    part(socket, &words, close_code::POLICY).await;
}

/// Says the last words, and ends a connection.
async fn part(mut socket: WebSocket, words: &[Reply], code: u16) {
    let goodbye = async {
        for reply in words {
            let text = serde_json::to_string(reply).unwrap_or_default();
            socket.send(Message::text(text)).await?;
        }
        socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await
    };
    // A client that does not take it is not owed more.
    if let Ok(Ok(())) = timeout(WRITE_WITHIN, goodbye).await {
        linger(socket).await;
    }
}

/// Reads on until the client has ended the connection too, and answers its close frame.
async fn linger(mut socket: WebSocket) {
    let ended = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(PART_WITHIN, ended).await;
}

/// A participant's WebSocket that has joined.
struct Client {
    app: Arc<App>,
    socket: WebSocket,
    seat: Seat,
    texts: Texts,
    rate: Rate,
    pings_unheard: u32,
}

/// How a connection ended.
enum End {
    /// The client said goodbye.
    Left,
    /// The client ended it in another way.
    Lost,
    /// The server hung up, and has said why.
    Over,
    /// The client broke the rules of WebSockets, or its connection broke.
    Broken,
    /// The client asked too much for too long.
    Flooded,
}

impl Client {
    fn new(app: Arc<App>, socket: WebSocket, seat: Seat, texts: Texts) -> Self {
        Self { app, socket, seat, texts, rate: Rate::new(Instant::now()), pings_unheard: 0 }
    }

    async fn run(mut self) {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let mut renewals = interval(RENEWED_EVERY);
        renewals.reset();
        let end = loop {
            let step = tokio::select! {
                received = self.socket.recv() => self.received(received),
                text = self.texts.next() => self.write(text).await,
                _ = pings.tick() => self.ping().await,
                _ = renewals.tick() => self.renew_ice_servers(),
            };
            if let ControlFlow::Break(end) = step {
                break end;
            }
        };
        self.end(end).await;
    }

    async fn end(self, end: End) {
        let Self { app, socket, seat, .. } = self;
        if matches!(end, End::Left) {
            let bye = Bye { code: ByeCode::Left, message: "You left.".to_owned(), retry_ms: None };
            app.control.hear(&seat, Event::Leave(seat.participant, bye));
        } else {
            app.control.socket_lost(&seat);
        }
        match end {
            End::Left | End::Lost => linger(socket).await,
            End::Over => part(socket, &[], close_code::NORMAL).await,
            End::Broken => part(socket, &[], close_code::POLICY).await,
            End::Flooded => {
                let message = "Too many messages for too long.".to_owned();
                let bye = Bye { code: ByeCode::Rate, message, retry_ms: Some(RETRY_FLOOD) };
                let words = [Reply { re: None, message: ServerMessage::Bye(bye) }];
                part(socket, &words, close_code::POLICY).await;
            }
        }
    }

    fn received(&mut self, received: Option<Result<Message, axum::Error>>) -> ControlFlow<End> {
        self.pings_unheard = 0;
        match received {
            Some(Ok(Message::Text(text))) => self.request(&text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(close_code::STATUS, |frame| frame.code);
                let is_goodbye = matches!(code, close_code::NORMAL | close_code::AWAY);
                ControlFlow::Break(if is_goodbye { End::Left } else { End::Lost })
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                if self.rate.take(Instant::now(), 1) {
                    ControlFlow::Continue(())
                } else {
                    self.overspent(None)
                }
            }
            Some(Ok(Message::Binary(_))) => self.no_message(NOT_TEXT),
            None => ControlFlow::Break(End::Lost),
            Some(Err(_)) => ControlFlow::Break(End::Broken),
        }
    }

    fn request(&mut self, text: &str) -> ControlFlow<End> {
        let request = match parse(text) {
            Ok(request) => request,
            Err(error) => return self.no_message(&error),
        };
        let cost = cost(&request.message, text.len());
        let (id, message) = (request.id, request.message);
        if self.rate.take(Instant::now(), cost) {
            let participant = self.seat.participant;
            self.app.control.hear(&self.seat, Event::Request { participant, id, message });
            return ControlFlow::Continue(());
        }
        self.overspent(id)
    }

    /// Something came that is no message of the protocol.
    fn no_message(&mut self, error: &str) -> ControlFlow<End> {
        if !self.rate.take(Instant::now(), 1) {
            return self.overspent(None);
        }
        self.complain(None, ErrorCode::BadMessage, error);
        ControlFlow::Continue(())
    }

    fn overspent(&mut self, id: Option<u32>) -> ControlFlow<End> {
        if self.rate.is_flooding() {
            tracing::info!(participant = %self.seat.participant, "floods its WebSocket; closing it");
            return ControlFlow::Break(End::Flooded);
        }
        self.complain(id, ErrorCode::Rate, "Too many messages: this one was not heeded. Send fewer.");
        ControlFlow::Continue(())
    }

    /// Says what is wrong, by the same queue as everything else.
    fn complain(&self, re: Option<u32>, code: ErrorCode, message: &str) {
        let error = Error::new(code, message);
        self.app.control.say(&self.seat, &Reply { re, message: ServerMessage::Error(error) });
    }

    /// Tells newer credentials of the relay, where there is one.
    fn renew_ice_servers(&self) -> ControlFlow<End> {
        let list = self.app.ice_servers().of(&self.seat.participant.to_string());
        if !list.is_empty() {
            let message = ServerMessage::IceServers(IceServers { list });
            self.app.control.say(&self.seat, &Reply { re: None, message });
        }
        ControlFlow::Continue(())
    }

    async fn write(&mut self, text: Option<Arc<str>>) -> ControlFlow<End> {
        let Some(text) = text else { return ControlFlow::Break(End::Over) };
        self.send(Message::text(&*text)).await
    }

    async fn ping(&mut self) -> ControlFlow<End> {
        if self.pings_unheard >= SILENT_PINGS {
            return ControlFlow::Break(End::Lost);
        }
        self.pings_unheard += 1;
        self.send(Message::Ping(Vec::new().into())).await
    }

    async fn send(&mut self, message: Message) -> ControlFlow<End> {
        match timeout(WRITE_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) | Err(_) => ControlFlow::Break(End::Lost),
        }
    }
}
