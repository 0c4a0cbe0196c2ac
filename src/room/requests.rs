//! What participants ask of a room, and the messages between them.

use std::sync::Arc;

use super::event::Action;
use super::room::Room;
use crate::ids::{ParticipantId, SessionId};
use crate::protocol::client::{ClientMessage, Send};
use crate::protocol::data::{self, Content};
use crate::protocol::server::{Bye, ByeCode, Done, ErrorCode, Msg, Pong, ServerMessage};
use crate::protocol::{MAX_DATA, MAX_TOPIC};
use crate::sfu::session::channels::{ChannelKind, DataMessage};

impl Room {
    /// Carries a request out, and answers it.
    pub(super) fn request(&mut self, id: ParticipantId, re: Option<u32>, message: ClientMessage) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let outcome = match message {
            ClientMessage::Tracks(tracks) => {
                member.publish(&tracks.tracks).map(|wanted| self.published_anew(id, wanted))
            }
            ClientMessage::Mute(mute) => member.mute(&mute.mid, mute.muted).map(|()| self.sync_mutes(id)),
            ClientMessage::View(view) => member.look(view).map(|()| self.view_changed()),
            ClientMessage::Update(update) => {
                member.update(update.name.as_deref(), update.meta.as_ref()).map(|()| self.unsettle(id))
            }
            ClientMessage::Send(send) => self.send(id, send),
            ClientMessage::Ice(_) => Ok(()),
            ClientMessage::Offer(offer) => return self.offer(id, re, offer.sdp),
            ClientMessage::Ping(ping) => {
                return self.tell(vec![id], re, ServerMessage::Pong(Pong { ts: ping.ts }));
            }
            ClientMessage::Leave(_) => {
                let message = "You left.".to_owned();
                return self.leave(id, Bye { code: ByeCode::Left, message, retry_ms: None });
            }
            ClientMessage::Join(_) => {
                Err((ErrorCode::Order, "This connection has joined already.".to_owned()))
            }
            ClientMessage::Unknown => {
                Err((ErrorCode::UnknownType, "No message of this version has that type.".to_owned()))
            }
        };
        match outcome {
            Ok(()) if re.is_some() => self.tell(vec![id], re, ServerMessage::Ok(Done {})),
            Ok(()) => {}
            Err(refusal) => self.refuse(id, re, refusal),
        }
    }

    /// Sections change only where the peer connection lives: with the worker, which answers.
    fn offer(&mut self, id: ParticipantId, re: Option<u32>, sdp: String) {
        match self.members.get(&id).and_then(|member| member.session()) {
            Some(session) => self.out.push(Action::Offer { session, request: re, sdp }),
            None => {
                let message = "The peer connection is gone. Resume with a new offer.".to_owned();
                self.refuse(id, re, (ErrorCode::Media, message));
            }
        }
    }

    /// A message by way of the WebSocket.
    fn send(&mut self, from: ParticipantId, send: Send) -> Result<(), (ErrorCode, String)> {
        if send.topic.len() > MAX_TOPIC {
            return Err((ErrorCode::TooLarge, format!("A topic has {MAX_TOPIC} bytes at most.")));
        }
        if serde_json::to_string(&send.body).map_or(usize::MAX, |text| text.len()) > MAX_DATA {
            return Err((ErrorCode::TooLarge, format!("A message has {MAX_DATA} bytes at most.")));
        }
        let to = self.receivers(from, send.to.as_deref())?;
        let message = Msg { from, topic: send.topic, body: send.body };
        self.tell(to, None, ServerMessage::Msg(message));
        Ok(())
    }

    /// A message by way of a data channel. It goes on by the same channel; whoever has none for reliable messages gets
    /// texts through the WebSocket.
    pub(super) fn data(&mut self, session: SessionId, channel: ChannelKind, message: &DataMessage) {
        let Some((from, _)) = self.member_of(session) else { return };
        let read = data::read(&message.bytes, message.text);
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(error) => return self.refuse(from, None, (ErrorCode::BadMessage, format!("{error}."))),
        };
        let to = match self.receivers(from, envelope.to.as_deref()) {
            Ok(to) => to,
            Err(refusal) => return self.refuse(from, None, refusal),
        };
        let bytes = envelope.forwarded(from);
        if bytes.len() > MAX_DATA {
            let message = format!("A message has {MAX_DATA} bytes at most, with what names its sender.");
            return self.refuse(from, None, (ErrorCode::TooLarge, message));
        }
        let link = |id: &ParticipantId| self.members.get(id).and_then(|member| member.link.as_ref());
        let (open, closed): (Vec<_>, Vec<_>) =
            to.into_iter().partition(|id| link(id).is_some_and(|link| link.is_open(channel)));
        let sessions: Vec<_> = open.iter().filter_map(|id| link(id).map(|link| link.session())).collect();
        let told = match envelope.content {
            Content::Json(body) if channel == ChannelKind::Reliable && !closed.is_empty() => {
                let body = serde_json::from_str(body.get()).unwrap_or_default();
                Some(ServerMessage::Msg(Msg { from, topic: envelope.topic, body }))
            }
            _ => None,
        };
        if !sessions.is_empty() {
            let message = DataMessage { text: message.text, bytes: Arc::from(bytes) };
            self.out.push(Action::Data { to: sessions, channel, message });
        }
        if let Some(told) = told {
            self.tell(closed, None, told);
        }
    }

    /// Those of `to` who are here; everybody else where nobody is named.
    fn receivers(
        &self,
        from: ParticipantId,
        to: Option<&[ParticipantId]>,
    ) -> Result<Vec<ParticipantId>, (ErrorCode, String)> {
        let Some(to) = to else {
            return Ok(self.members.keys().filter(|id| **id != from).copied().collect());
        };
        let mut here: Vec<_> = to.iter().filter(|id| self.members.contains_key(id)).copied().collect();
        here.sort_unstable();
        here.dedup();
        if here.is_empty() {
            return Err((ErrorCode::NotFound, "Nobody of those is in the room.".to_owned()));
        }
        Ok(here)
    }
}
