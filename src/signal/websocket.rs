//! The WebSocket of a room participant: in with a join, then messages both ways until one side ends it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::app::App;
use super::error::Problem;
use super::joining::{self, Refused};
use super::peer::Peer;
use super::rate::Rate;
use crate::protocol::client::{ClientMessage, Request};
use crate::protocol::server::{Bye, ByeCode, Error, ErrorCode, Reply, ServerMessage};
use crate::protocol::{JOIN_WITHIN, MAX_MESSAGE, PING_EVERY};
use crate::room::directory::Seat;
use crate::room::event::Event;

/// How long a text may take to be written before the client counts as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How many pings may stay without any sign of life.
const SILENT_PINGS: u32 = 2;
/// What a message costs of the client's budget: an offer is work for the media thread, the rest is not.
const OFFER_COST: u32 = 10;

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
    let is_local = peer.is_local(&headers);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| serve(app, socket, is_local)))
}

async fn serve(app: Arc<App>, mut socket: WebSocket, is_local: bool) {
    match timeout(JOIN_WITHIN, first(&mut socket)).await {
        Ok(Some(Ok(request))) => match joining::join(&app, request, is_local).await {
            Ok((seat, outbox)) => Client::new(app, socket, seat, outbox).run().await,
            Err(refused) => turn_away(socket, refused).await,
        },
        Ok(Some(Err(refused))) => turn_away(socket, refused).await,
        Ok(None) => {}
        Err(_) => {
            let message = format!("The first message is a join, within {} s.", JOIN_WITHIN.as_secs());
            turn_away(socket, Refused::new(None, ErrorCode::Order, message)).await;
        }
    }
}

/// The first message. `None` when the client goes away before it.
async fn first(socket: &mut WebSocket) -> Option<Result<Request, Refused>> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => {
                let parsed = parse(&text);
                return Some(parsed.map_err(|error| Refused::new(None, ErrorCode::BadMessage, error)));
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_) | Message::Close(_)) | Err(_) => return None,
        }
    }
}

fn parse(text: &str) -> Result<Request, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("This is not a message of the room protocol: {error}."))
}

async fn turn_away(mut socket: WebSocket, refused: Refused) {
    let Refused { re, code, message, retry_ms } = refused;
    tracing::info!(?code, "not let in");
    let bye = Bye { code: ByeCode::Refused, message: message.clone(), retry_ms };
    let replies = [
        Reply { re, message: ServerMessage::Error(Error { code, message }) },
        Reply { re: None, message: ServerMessage::Bye(bye) },
    ];
    let goodbye = async {
        for reply in replies {
            let text = serde_json::to_string(&reply).unwrap_or_default();
            socket.send(Message::text(text)).await?;
        }
        socket.send(closing(close_code::POLICY)).await
    };
    // A client that does not take it is not owed more.
    let _ = timeout(WRITE_WITHIN, goodbye).await;
}

fn closing(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code, reason: "".into() }))
}

/// A participant's WebSocket that has joined.
struct Client {
    app: Arc<App>,
    socket: WebSocket,
    seat: Seat,
    outbox: mpsc::Receiver<Arc<str>>,
    rate: Rate,
    pings_unheard: u32,
}

/// How a connection ended.
enum End {
    /// The client said goodbye.
    Left,
    /// The connection broke.
    Lost,
    /// The server ended it.
    Closed(u16),
}

impl Client {
    fn new(app: Arc<App>, socket: WebSocket, seat: Seat, outbox: mpsc::Receiver<Arc<str>>) -> Self {
        Self { app, socket, seat, outbox, rate: Rate::new(Instant::now()), pings_unheard: 0 }
    }

    async fn run(mut self) {
        let mut pings = interval(PING_EVERY);
        pings.reset();
        let end = loop {
            let step = tokio::select! {
                received = self.socket.recv() => self.received(received),
                text = self.outbox.recv() => self.write(text).await,
                _ = pings.tick() => self.ping().await,
            };
            if let ControlFlow::Break(end) = step {
                break end;
            }
        };
        match end {
            End::Left => {
                let bye = Bye { code: ByeCode::Left, message: "You left.".to_owned(), retry_ms: None };
                self.app.control.hear(&self.seat, Event::Leave(self.seat.participant, bye));
            }
            End::Lost => self.app.control.socket_lost(&self.seat),
            End::Closed(code) => {
                self.app.control.socket_lost(&self.seat);
                let _ = timeout(WRITE_WITHIN, self.socket.send(closing(code))).await;
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
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.spend(1, None),
            Some(Ok(Message::Binary(_))) => {
                self.complain(None, ErrorCode::BadMessage, "Messages are text frames.");
                self.spend(1, None)
            }
            None | Some(Err(_)) => ControlFlow::Break(End::Lost),
        }
    }

    fn request(&mut self, text: &str) -> ControlFlow<End> {
        let request = match parse(text) {
            Ok(request) => request,
            Err(error) => {
                self.complain(None, ErrorCode::BadMessage, &error);
                return self.spend(1, None);
            }
        };
        let cost = if matches!(request.message, ClientMessage::Offer(_)) { OFFER_COST } else { 1 };
        let (id, message) = (request.id, request.message);
        if self.rate.take(Instant::now(), cost) {
            let participant = self.seat.participant;
            self.app.control.hear(&self.seat, Event::Request { participant, id, message });
            return ControlFlow::Continue(());
        }
        self.overspent(id)
    }

    /// Takes something that is no request off the client's budget.
    fn spend(&mut self, cost: u32, id: Option<u32>) -> ControlFlow<End> {
        if self.rate.take(Instant::now(), cost) { ControlFlow::Continue(()) } else { self.overspent(id) }
    }

    fn overspent(&mut self, id: Option<u32>) -> ControlFlow<End> {
        if self.rate.is_flooding() {
            tracing::info!(participant = %self.seat.participant, "floods its WebSocket; closing it");
            return ControlFlow::Break(End::Closed(close_code::POLICY));
        }
        self.complain(id, ErrorCode::Rate, "Too many messages: this one was not heeded. Send fewer.");
        ControlFlow::Continue(())
    }

    /// Says what is wrong, by the same queue as everything else.
    fn complain(&self, re: Option<u32>, code: ErrorCode, message: &str) {
        let error = Error { code, message: message.to_owned() };
        self.app.control.say(&self.seat, &Reply { re, message: ServerMessage::Error(error) });
    }

    async fn write(&mut self, text: Option<Arc<str>>) -> ControlFlow<End> {
        let Some(text) = text else { return ControlFlow::Break(End::Closed(close_code::NORMAL)) };
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
