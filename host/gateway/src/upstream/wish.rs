//! Requests by which a caller says what it wants to hear: a log level, updates of resources.
//!
//! Read from what goes out, by those who have to say it again: a process that takes the place of another, or a session.

use portcullis_protocol::params::{LOG_LEVELS, log_level};
use portcullis_protocol::splice;

use super::outgoing::Outgoing;

pub(super) const SET_LEVEL: &str = "logging/setLevel";
pub(super) const SUBSCRIBE: &str = "resources/subscribe";
pub(super) const UNSUBSCRIBE: &str = "resources/unsubscribe";

/// A request that says what its caller wants to hear.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// Log messages from that place in [`LOG_LEVELS`] on.
    Level(usize),
    /// Updates of this URI, a JSON text.
    Subscribe(&'a str),
    /// No more of them.
    Unsubscribe(&'a str),
}

impl<'a> Wish<'a> {
    /// `None` for any other request, and for one that its upstream may refuse as it came.
    pub(super) fn of(out: &Outgoing<'a>) -> Option<Self> {
        let params = out.params?;
        match out.method {
            SET_LEVEL => {
                let level = log_level(params)?;
                let place = LOG_LEVELS.iter().position(|known| *known == level)?;
                Some(Self::Level(place))
            }
            SUBSCRIBE => splice::get_member(params, "uri").map(Self::Subscribe),
            UNSUBSCRIBE => splice::get_member(params, "uri").map(Self::Unsubscribe),
            _ => None,
        }
    }
}

/// The params of [`SET_LEVEL`] for that place in [`LOG_LEVELS`].
pub(super) fn level_params(level: usize) -> String {
    let level = LOG_LEVELS.get(level).copied().unwrap_or_default();
    format!(r#"{{"level":"{level}"}}"#)
}

/// The params of [`SUBSCRIBE`] and [`UNSUBSCRIBE`] for this URI.
pub(super) fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, serde_json::Value::from(uri))
}
