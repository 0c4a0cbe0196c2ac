//! How a WHEP session names its extensions: in `Link` headers of the answer that made it.

use axum::http::{HeaderMap, HeaderValue, header};

use super::app::App;
use super::exchange;
use crate::ids::RoomName;
use crate::room::resource::ResourceId;

/// The events that viewers are told of.
pub(super) const EVENTS: &str = "active,inactive,layers,viewercount,reconnect";

/// Names the extensions of a session, each in a line of its own.
pub(super) fn link(app: &App, room: &RoomName, id: ResourceId, headers: &mut HeaderMap) {
    let session = format!("{}/whep/{room}/{id}", exchange::base(app));
    let core = "urn:ietf:params:whep:ext:core";
    for link in [
        format!("<{session}/events>; rel=\"{core}:server-sent-events\"; events=\"{EVENTS}\""),
        format!("<{session}/layer>; rel=\"{core}:layer\""),
    ] {
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.append(header::LINK, link);
        }
    }
}
