//! Ids and progress tokens on their way back.
//!
//! Where callers share one upstream session or process, their requests go out under names of the gateway's own
//! (`outgoing::compose`), so that two callers never mix. This puts the caller's names back; every other byte stays.

use std::borrow::Cow;

use portcullis_protocol::envelope::{self, EnvelopeError, Message};
use portcullis_protocol::splice;

/// The method of progress notifications.
pub(super) const PROGRESS: &str = "notifications/progress";
/// Where a progress notification names its token.
pub(super) const PROGRESS_TOKEN: [&str; 2] = ["params", "progressToken"];

/// What one caller calls its request; the texts are JSON.
#[derive(Debug, Clone)]
pub(super) struct Restore {
    /// The id that it went out under.
    pub(super) own: Box<str>,
    /// The request's id.
    pub(super) id: Box<str>,
    /// The progress token, where the request had one.
    pub(super) token: Option<Box<str>>,
}

impl Restore {
    /// A message of the request's own reply, in the caller's names.
    ///
    /// # Errors
    /// When it is no JSON-RPC message.
    pub(super) fn message<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, EnvelopeError> {
        match envelope::parse_str(text)? {
            // A response to something else keeps its id, and is refused for it.
            Message::Response(response) if response.id.is_some_and(|id| id.get() != &*self.own) => {
                Ok(Cow::Borrowed(text))
            }
            Message::Response(_) => Ok(Cow::Owned(self.response(text))),
            Message::Notification(notification) if notification.method == PROGRESS => {
                Ok(self.progress(text).map_or(Cow::Borrowed(text), Cow::Owned))
            }
            Message::Notification(_) | Message::Request(_) => Ok(Cow::Borrowed(text)),
        }
    }

    /// A response under the caller's id. `text` was read as an envelope before, so it is an object.
    pub(super) fn response(&self, text: &str) -> String {
        splice::set_member(text, "id", &self.id).unwrap_or_default()
    }

    /// A progress notification under the caller's token; `None` when the caller gave none.
    pub(super) fn progress(&self, text: &str) -> Option<String> {
        let token = self.token.as_deref()?;
        splice::set_path(text, &PROGRESS_TOKEN, token).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_nothing_else_changes() {
        let restore = Restore {
            own: "12".into(),
            id: r#""a-1""#.into(),
            token: Some("7".into()),
        };
        for (sent, want) in [
            (
                r#"{"jsonrpc":"2.0", "id":12,"result":{"n": 1.10,"id":12}}"#,
                r#"{"jsonrpc":"2.0", "id":"a-1","result":{"n": 1.10,"id":12}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":13,"result":{}}"#,
                r#"{"jsonrpc":"2.0","id":13,"result":{}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":12,"progress":1}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"progressToken":12}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"progressToken":12}}"#,
            ),
        ] {
            assert_eq!(restore.message(sent).unwrap(), want);
        }
        assert!(restore.message("nonsense").is_err());
    }
}
