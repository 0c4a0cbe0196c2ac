//! The layers extension of WHEP: a viewer chooses an encoding, a layer, a size, or another picture.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::app::App;
use super::error::Problem;
use super::path::Named;
use super::{exchange, resource, target};
use crate::room::control::JoinError;
use crate::room::event::Event;
use crate::room::resource::{Resource, Side};
use crate::room::watching::{Picture, Watched};
use crate::sfu::egress::allocate::Wish;
use crate::sfu::session::stats::NamedRung;

/// The media type of what this extension and the one for events take.
pub(super) const JSON: &str = "application/json";

/// What a viewer chooses. Where it says nothing it leaves the choice to the server. Whatever it asks for is the most it gets:
/// less comes when its link carries less.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Choice {
    media_id: Option<String>,
    encoding_id: Option<String>,
    rid: Option<String>,
    spatial_layer_id: Option<u8>,
    temporal_layer_id: Option<u8>,
    max_spatial_layer_id: Option<u8>,
    max_temporal_layer_id: Option<u8>,
    max_width: Option<u32>,
    max_height: Option<u32>,
    track: Option<String>,
    participant: Option<String>,
}

/// `POST /whep/{stream}/{session}/layer`
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (id, resource) = resource::find_live(&app, &path, Side::Watch)?;
    if !app.control.directory().may_choose(Instant::now(), id) {
        return Err(Problem::too_often("1"));
    }
    let choice: Choice = read(&headers, &body)?;
    let asked = [("participant", &choice.participant), ("track", &choice.track)];
    let mut asked = asked.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let target =
        asked.next().map(|(name, value)| target::named(name, value, resource.members)).transpose()?;
    let (session, room) = (resource.session, &resource.room);
    let visit = |target| app.control.directory().visit(room, |room| room.check_choice(session, target));
    if let Some(checked) = target.and_then(visit) {
        checked.map_err(JoinError::from)?;
    }
    let wish = wish(&app, &resource, &choice, target.is_some())?;
    app.control.command(room, Event::Choose { session, target, wish });
    Ok((StatusCode::OK, "chosen\n").into_response())
}

/// Reads a body that is JSON.
pub(super) fn read<T: for<'a> Deserialize<'a>>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    if !exchange::is_declared_as(headers, JSON) {
        return Err(Problem::media_type(JSON, exchange::ACCEPT_POST));
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("This is not as wanted: {error}.")))
}

/// How large a choice lets a picture be.
fn wish(
    app: &App,
    resource: &Resource,
    choice: &Choice,
    changes: bool,
) -> Result<Option<(usize, Wish)>, Problem> {
    let watched = app.control.directory().visit(&resource.room, |room| room.watched(resource.session));
    let watched = watched.flatten();
    let media = choice.media_id.as_deref();
    let Some(picture) = watched.as_ref().and_then(|watched| place(watched, &resource.sections, media)) else {
        return Ok(None);
    };
    // Of another picture nothing is known yet.
    let shown = picture.track.filter(|_| !changes);
    let ladder = shown.map(|track| app.control.directory().ladder(track)).unwrap_or_default();
    let wish = choice.of(&ladder).map_err(|unmet| match unmet {
        Unmet::NotKnownYet => {
            let detail =
                "It is not known yet what encodings there are, or how large. Wait for the layers event.";
            Problem::new(StatusCode::CONFLICT, "no-layers", "Not known yet", detail)
                .with(header::RETRY_AFTER, "2")
        }
        Unmet::NoSuch => {
            let mut names: Vec<_> = ladder.iter().map(encoding).collect();
            names.dedup();
            Problem::bad_request(format!(
                "There is no such encoding or layer; there are: {}.",
                names.join(", ")
            ))
        }
    })?;
    Ok(Some((picture.slot, wish)))
}

/// The section that is meant: by its index, else by its mid, else the first that takes pictures.
fn place<'w>(watched: &'w Watched, sections: &[String], media: Option<&str>) -> Option<&'w Picture> {
    let of = |mid: &str| watched.pictures.iter().find(|picture| picture.mid == mid);
    let index = media.and_then(|media| media.parse::<usize>().ok());
    let by_index = index.and_then(|index| sections.get(index)).and_then(|mid| of(mid));
    by_index.or_else(|| of(media?)).or_else(|| watched.pictures.first())
}

/// What an encoding is called: by its publisher, else by its place.
pub(super) fn encoding(rung: &NamedRung) -> String {
    rung.rid.clone().unwrap_or_else(|| rung.rung.selection.encoding.0.to_string())
}

/// Why there is no wish for a choice.
#[derive(Debug, PartialEq, Eq)]
enum Unmet {
    /// What is named is not there.
    NoSuch,
    /// Encodings are chosen by the size of their picture, which nobody knows yet.
    NotKnownYet,
}

impl Choice {
    /// The wish for which the best of these pictures that is asked for is enough.
    fn of(&self, ladder: &[NamedRung]) -> Result<Wish, Unmet> {
        let named = self.encoding_id.as_ref().or(self.rid.as_ref());
        let spatial = self.spatial_layer_id.or(self.max_spatial_layer_id);
        let temporal = self.temporal_layer_id.or(self.max_temporal_layer_id);
        let fits = |rung: &&NamedRung| {
            let selection = rung.rung.selection;
            named.is_none_or(|name| *name == encoding(rung))
                && spatial.is_none_or(|most| selection.spatial <= most)
                && temporal.is_none_or(|most| selection.temporal <= most)
        };
        let best = ladder.iter().rfind(fits);
        if named.is_some() {
            let best = best.ok_or(if ladder.is_empty() { Unmet::NotKnownYet } else { Unmet::NoSuch })?;
            let is_only = ladder.iter().all(|other| encoding(other) == encoding(best));
            if best.rung.height == 0 && !is_only {
                return Err(Unmet::NotKnownYet);
            }
        }
        let layer = best.filter(|_| named.is_some() || spatial.is_some()).map_or(0, |best| best.rung.height);
        // Pictures are wider than high: 16 to 9, where nothing else is known.
        let by_width = self.max_width.map(|width| width.saturating_mul(9) / 16);
        let bounds = [self.max_height, by_width, Some(u32::from(layer))].into_iter().flatten();
        let bound = bounds.filter(|height| *height > 0).min().unwrap_or(0);
        let height = within(u16::try_from(bound).unwrap_or(u16::MAX), ladder);
        let fps = best.filter(|_| temporal.is_some()).map_or(0, |best| best.rung.fps);
        Ok(Wish { height, fps, ..Wish::default() })
    }
}

/// The height of the largest picture within a bound; of the smallest, if none is. A wish is the size of a tile, in which a
/// somewhat larger picture looks better than a much smaller one. 0 for no bound.
fn within(bound: u16, ladder: &[NamedRung]) -> u16 {
    let heights = || ladder.iter().map(|rung| rung.rung.height).filter(|height| *height > 0);
    if bound == 0 {
        return 0;
    }
    heights().filter(|height| *height <= bound).max().or_else(|| heights().min()).unwrap_or(bound)
}

/// `Accept-Post` for who asks by OPTIONS.
pub(super) async fn options() -> Response {
    let json = HeaderValue::from_static(JSON);
    (StatusCode::OK, [(exchange::ACCEPT_POST, json)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::forward::ladder::{Rung, Selection};
    use crate::sfu::forward::packet::EncodingIndex;
    use crate::units::Bitrate;

    /// Two encodings with two temporal layers each.
    fn ladder() -> Vec<NamedRung> {
        let rung = |(index, rid, height): (u8, &str, u16), temporal: u8| NamedRung {
            rid: Some(rid.to_owned()),
            rung: Rung {
                selection: Selection { encoding: EncodingIndex(index), spatial: 0, temporal },
                bitrate: Bitrate(100_000),
                height,
                fps: 15 * (temporal + 1),
            },
        };
        let encodings = [(0, "low", 180), (1, "high", 720)];
        encodings.into_iter().flat_map(|encoding| [rung(encoding, 0), rung(encoding, 1)]).collect()
    }

    #[test]
    fn a_choice_becomes_the_most_that_is_of_use() {
        for (text, height, fps) in [
            ("{}", 0, 0),
            (r#"{"mediaId":"1"}"#, 0, 0),
            (r#"{"encodingId":"low"}"#, 180, 0),
            (r#"{"rid":"high","temporalLayerId":0}"#, 720, 15),
            (r#"{"maxTemporalLayerId":0}"#, 0, 15),
            (r#"{"maxHeight":360}"#, 180, 0),
            (r#"{"maxHeight":719}"#, 180, 0),
            (r#"{"maxWidth":640,"maxHeight":1080}"#, 180, 0),
            (r#"{"maxHeight":100000}"#, 720, 0),
            (r#"{"encodingId":"low","maxHeight":90,"unknown":[]}"#, 180, 0),
        ] {
            let choice: Choice = serde_json::from_str(text).unwrap();
            let wish = choice.of(&ladder()).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((wish.height, wish.fps), (height, fps), "{text}");
        }
        let unknown: Choice = serde_json::from_str(r#"{"rid":"medium"}"#).unwrap();
        assert_eq!(unknown.of(&ladder()), Err(Unmet::NoSuch));
        assert_eq!(unknown.of(&[]), Err(Unmet::NotKnownYet));
    }

    #[test]
    fn an_encoding_of_unknown_size_cannot_be_chosen_yet_unless_it_is_the_only_one() {
        let mut ladder = ladder();
        ladder.iter_mut().for_each(|rung| rung.rung.height = 0);
        let low: Choice = serde_json::from_str(r#"{"encodingId":"low"}"#).unwrap();
        assert_eq!(low.of(&ladder), Err(Unmet::NotKnownYet));
        assert_eq!(low.of(&ladder[..2]), Ok(Wish::default()));
    }
}
