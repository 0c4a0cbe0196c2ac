//! The session resource of WHIP and WHEP: trickle and ICE restart by PATCH, the end by DELETE.
//!
//! Its URL is a capability: who knows it may use it, without a token (several clients send none here).

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::counter;
use super::error::Problem;
use super::exchange;
use super::path::Named;
use crate::room::resource::{Resource, ResourceId, Side};
use crate::sfu::session::restart::ClientCredentials;
use crate::wire::sdp::Sdp;

pub(super) async fn patch_whip(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    patch(&app, &path, Side::Publish, &headers, &body)
}

pub(super) async fn patch_whep(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if exchange::is_declared_as(&headers, exchange::SDP)
        && let Some(accepted) = counter::accept(&app, &path, body.clone()).await
    {
        return accepted;
    }
    patch(&app, &path, Side::Watch, &headers, &body)
}

pub(super) async fn delete_whip(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
) -> Result<Response, Problem> {
    delete(&app, &find(&app, &path, Side::Publish)?.1)
}

pub(super) async fn delete_whep(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
) -> Result<Response, Problem> {
    if app.counter_offers.remove(&path.0, &path.1) {
        return Ok(ended());
    }
    delete(&app, &find(&app, &path, Side::Watch)?.1)
}

pub(super) async fn get_whip(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
) -> Result<Response, Problem> {
    find_live(&app, &path, Side::Publish).map(|_| StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn get_whep(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
) -> Result<Response, Problem> {
    find_live(&app, &path, Side::Watch).map(|_| StatusCode::NO_CONTENT.into_response())
}

fn find(app: &App, (stream, id): &(String, String), side: Side) -> Result<(ResourceId, Resource), Problem> {
    let found = id.parse().ok().and_then(|id| Some((id, app.control.directory().resource(id)?)));
    found
        .filter(|(_, resource)| resource.side == side && resource.room.as_str() == stream)
        .ok_or_else(|| Problem::not_found("There is no such session, or it ended a while ago."))
}

/// A session that has ended only hears DELETE.
pub(super) fn find_live(
    app: &App,
    path: &(String, String),
    side: Side,
) -> Result<(ResourceId, Resource), Problem> {
    let found = find(app, path, side)?;
    if found.1.is_live() { Ok(found) } else { Err(Problem::not_found("The session has ended.")) }
}

/// Trickled candidates are read and not used: the server is ICE-lite, and learns the client's addresses from its
/// checks. So they never fail for their content (RFC 9725 section 4.3.2: unusable candidates are discarded).
fn patch(
    app: &App,
    path: &(String, String),
    side: Side,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let (id, resource) = find_live(app, path, side)?;
    exchange::check_sdp_fragment(headers)?;
    check_precondition(headers, &resource.etag)?;
    let fragment = format!("v=0\r\n{}", exchange::text(body)?);
    let fragment = Sdp::parse(&fragment).map_err(|error| Problem::bad_request(format!("{error}.")))?;
    match asked_restart(&fragment, &resource.remote_credentials)? {
        Some(client) => restart(app, id, &resource, client),
        None => match resource.restarted.as_ref().filter(|_| repeats_restart(&fragment)) {
            Some(answer) => Ok(restart_answer(&resource.etag, answer.clone())),
            None => Ok(StatusCode::NO_CONTENT.into_response()),
        },
    }
}

/// Whether a fragment that names the newest credentials asks once more for the restart that they belong to, as its answer got
/// lost: candidates come when it did not.
fn repeats_restart(fragment: &Sdp<'_>) -> bool {
    let parts =
        || std::iter::once(&fragment.session).chain(fragment.sections.iter().map(|section| &section.lines));
    let has = |name: &str| parts().any(|lines| lines.attribute(name).is_some());
    has("ice-ufrag") && has("ice-pwd") && !has("candidate") && !has("end-of-candidates")
}

fn restart_answer(etag: &str, fragment: String) -> Response {
    let media_type = HeaderValue::from_static(exchange::SDP_FRAGMENT);
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], fragment).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// RFC 9725 section 4.3.3. What flows goes on to where it went until the client's checks come in.
fn restart(
    app: &App,
    id: ResourceId,
    resource: &Resource,
    client: ClientCredentials,
) -> Result<Response, Problem> {
    if !app.control.directory().may_restart(Instant::now(), id) {
        return Err(Problem::too_often("1"));
    }
    let worker = app.control.directory().worker(resource.session);
    let Some(worker) = worker else { return Err(Problem::not_found("The session has ended.")) };
    let ice = app.mint.ice(worker);
    let etag = ice.ufrag.to_string();
    let fragment = resource.transport.with(ice.ufrag.as_str(), &ice.password);
    if !app.control.restart(id, resource.session, &resource.etag, ice, client, &fragment) {
        return Err(Problem::precondition(false));
    }
    tracing::info!(session = %resource.session, "ICE restart");
    Ok(restart_answer(&etag, fragment))
}

/// RFC 9725 section 4.3.1. One client names the tag in `ETag` instead of `If-Match`; what it means is clear.
fn check_precondition(headers: &HeaderMap, etag: &str) -> Result<(), Problem> {
    // A list may come in several lines (RFC 9110 section 5.3).
    let name = [header::IF_MATCH, header::ETAG].into_iter().find(|name| headers.contains_key(name));
    let Some(name) = name else { return Err(Problem::precondition(true)) };
    let matches = |tag: &str| {
        let tag = tag.trim().trim_matches('"');
        tag == "*" || tag == etag
    };
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    if lines.flat_map(|line| line.split(',')).any(matches) {
        Ok(())
    } else {
        Err(Problem::precondition(false))
    }
}

/// Other credentials than the last ones ask for an ICE restart (RFC 9725 section 4.3.3), whatever If-Match is. A client may
/// repeat them above the sections or in each, and its sections need not all have had the same.
fn asked_restart(
    fragment: &Sdp<'_>,
    known: &[(String, String)],
) -> Result<Option<ClientCredentials>, Problem> {
    let parts =
        std::iter::once(&fragment.session).chain(fragment.sections.iter().map(|section| &section.lines));
    let named = parts.map(|lines| (lines.attribute("ice-ufrag"), lines.attribute("ice-pwd")));
    let is_news = |(ufrag, password): &(Option<&str>, Option<&str>)| {
        let same = |(known_ufrag, known_password): &(String, String)| {
            ufrag.is_none_or(|given| given == known_ufrag)
                && password.is_none_or(|given| given == known_password)
        };
        !known.iter().any(same)
    };
    // The sections of a bundle have one transport: the first that has other credentials speaks for all.
    let Some((ufrag, password)) = named.into_iter().find(is_news) else { return Ok(None) };
    let (ufrag, password) = (ufrag.unwrap_or_default(), password.unwrap_or_default());
    let halved = known.iter().any(|(known, word)| known == ufrag || word == password);
    // RFC 8839 section 5.4.
    if halved || !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&password.len()) {
        let detail =
            "An ICE restart needs a new a=ice-ufrag of 4 to 256 characters and a new a=ice-pwd of 22 to 256.";
        return Err(Problem::bad_request(detail));
    }
    Ok(Some(ClientCredentials { ufrag: ufrag.to_owned(), password: password.to_owned() }))
}

/// Ends the session. Also 200 when it has just ended by itself: OBS closes DTLS before it deletes.
fn delete(app: &App, resource: &Resource) -> Result<Response, Problem> {
    app.control.leave(resource.session);
    Ok(ended())
}

/// Not empty: FFmpeg 9 takes an empty body for a broken connection and complains.
fn ended() -> Response {
    (StatusCode::OK, "ended\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn precondition(name: HeaderName, value: &'static str) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        check_precondition(&headers, "abc")
    }

    #[test]
    fn preconditions() {
        for good in ["\"abc\"", "*", "\"*\"", "abc", "\"x\", \"abc\""] {
            assert_eq!(precondition(header::IF_MATCH, good), Ok(()), "{good}");
        }
        assert_eq!(precondition(header::ETAG, "\"abc\""), Ok(()));
        assert_eq!(precondition(header::IF_MATCH, "\"abd\""), Err(Problem::precondition(false)));
        assert_eq!(check_precondition(&HeaderMap::new(), "abc"), Err(Problem::precondition(true)));
        for (first, second, wanted) in
            [("\"x\"", "\"abc\"", true), ("\"\u{e9}\"", "*", true), ("\"x\"", "\"y\"", false)]
        {
            let mut headers = HeaderMap::new();
            for line in [first, second] {
                headers.append(header::IF_MATCH, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
            }
            assert_eq!(check_precondition(&headers, "abc").is_ok(), wanted, "{first} and {second}");
        }
    }
}
