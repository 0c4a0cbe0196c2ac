//! The server that is judged.

use std::fmt;

use crate::http::{Client, Error, Reply, Request, Url};
use crate::sdp;

pub(crate) const SDP: &str = "application/sdp";
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Whip,
    Whep,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whip => "WHIP",
            Self::Whep => "WHEP",
        })
    }
}

/// An endpoint, and how it is asked.
pub(crate) struct Subject {
    pub(crate) side: Side,
    pub(crate) endpoint: Url,
    pub(crate) token: Option<String>,
    client: Client,
}

/// A session that was made for a line of the table, and is deleted after it.
pub(crate) struct Session<'s> {
    subject: &'s Subject,
    pub(crate) url: Url,
    pub(crate) offer: String,
    pub(crate) reply: Reply,
}

impl Subject {
    pub(crate) fn new(client: Client, side: Side, endpoint: Url, token: Option<String>) -> Self {
        Self { side, endpoint, token, client }
    }

    /// What a client of this side offers.
    pub(crate) fn offer(&self) -> &'static str {
        match self.side {
            Side::Whip => sdp::PUBLISH,
            Side::Whep => sdp::PLAY,
        }
    }

    pub(crate) fn send(&self, request: Request) -> Result<Reply, Error> {
        let request = match &self.token {
            Some(token) => request.with("Authorization", format!("Bearer {token}")),
            None => request,
        };
        self.client.send(&request)
    }

    /// Sends it without a token.
    pub(crate) fn send_bare(&self, request: &Request) -> Result<Reply, Error> {
        self.client.send(request)
    }

    /// Asks the endpoint without a body.
    pub(crate) fn ask(&self, method: &'static str) -> Result<Reply, Error> {
        self.send(Request::new(method, self.endpoint.clone()))
    }

    /// Posts to the endpoint.
    pub(crate) fn post(&self, media_type: &str, body: &str) -> Result<Reply, Error> {
        let request = Request::new("POST", self.endpoint.clone()).body(media_type, body);
        let reply = self.send(request)?;
        if reply.status == 201
            && let Some(location) = reply.header("location")
        {
            // What was made by a request that should have been refused is not left behind.
            self.send(Request::new("DELETE", self.endpoint.join(location)?))?;
        }
        Ok(reply)
    }

    /// Makes a session by the offer of this side.
    pub(crate) fn session(&self) -> Result<Session<'_>, Error> {
        self.session_by(self.offer())
    }

    pub(crate) fn session_by(&self, offer: &str) -> Result<Session<'_>, Error> {
        let reply = self.send(Request::new("POST", self.endpoint.clone()).body(SDP, offer))?;
        let location = reply.header("location").filter(|_| reply.status == 201);
        let location = location.ok_or_else(|| Error::Broken(format!("no session to ask: {reply}")))?;
        let url = self.endpoint.join(location)?;
        Ok(Session { subject: self, url, offer: offer.to_owned(), reply })
    }
}

impl Session<'_> {
    pub(crate) fn etag(&self) -> Option<&str> {
        self.reply.header("etag")
    }

    pub(crate) fn ask(&self, method: &'static str) -> Result<Reply, Error> {
        self.subject.send(Request::new(method, self.url.clone()))
    }

    /// PATCHes a fragment; `tag` is what If-Match says.
    pub(crate) fn patch(&self, tag: Option<&str>, body: &str) -> Result<Reply, Error> {
        let request = Request::new("PATCH", self.url.clone()).body(FRAGMENT, body);
        self.subject.send(match tag {
            Some(tag) => request.with("If-Match", tag),
            None => request,
        })
    }

    /// PATCHes a candidate with the session's own tag.
    pub(crate) fn trickle(&self, candidate: &str) -> Result<Reply, Error> {
        self.patch(Some(self.etag().unwrap_or("*")), &sdp::fragment(&self.offer, candidate))
    }

    /// The addresses that the answer's Link headers name with this `rel`.
    pub(crate) fn linked(&self, rel: &str) -> Option<Url> {
        let wanted = format!("rel=\"{rel}\"");
        let link = self.reply.all("link").find(|link| link.contains(&wanted))?;
        let target = link.strip_prefix('<')?.split_once('>')?.0;
        self.url.join(target).ok()
    }

    pub(crate) fn send(&self, request: Request) -> Result<Reply, Error> {
        self.subject.send(request)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // A line that has deleted it already is told so.
        let _ = self.ask("DELETE");
    }
}
