//! What came back for one message: JSON, or a stream of events that was read to its end.

use std::ops::Deref;

use serde_json::Value;

use crate::show::Answer;

/// The answer to one message.
#[derive(Debug, Clone)]
pub struct Reply(pub Answer);

impl Deref for Reply {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}

impl Reply {
    /// Every JSON-RPC message of the answer, in order.
    ///
    /// # Panics
    /// When one is not JSON.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        let is_stream = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream {
            return if self.text.is_empty() {
                Vec::new()
            } else {
                vec![self.json()]
            };
        }
        let events = self
            .text
            .split("\n\n")
            .map(data_of)
            .filter(|data| !data.is_empty());
        events
            .map(|data| {
                serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"))
            })
            .collect()
    }

    /// The message that answers the request.
    fn answer(&self) -> Value {
        let messages = self.messages();
        let answer = messages
            .iter()
            .rfind(|message| message.get("method").is_none());
        answer
            .cloned()
            .unwrap_or_else(|| panic!("nothing answers the request: {}", self.shown()))
    }

    /// Parameters of the notifications of one method that came before the answer.
    #[must_use]
    pub fn notified(&self, method: &str) -> Vec<Value> {
        let messages = self
            .messages()
            .into_iter()
            .filter(|message| message["method"] == method);
        messages
            .map(|mut message| message["params"].take())
            .collect()
    }

    /// The result.
    ///
    /// # Panics
    /// When the answer is an error.
    #[must_use]
    #[track_caller]
    pub fn result(&self) -> Value {
        let mut answer = self.answer();
        assert!(answer.get("result").is_some(), "{}", self.shown());
        answer["result"].take()
    }

    /// Code and text of the error.
    ///
    /// # Panics
    /// When the answer is a result.
    #[must_use]
    #[track_caller]
    pub fn error(&self) -> (i64, String) {
        let answer = self.answer();
        let error = &answer["error"];
        assert!(error.is_object(), "{}", self.shown());
        (
            error["code"].as_i64().unwrap_or_default(),
            error["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// HTTP status and code of a refusal.
    ///
    /// # Panics
    /// When the answer is a result.
    #[must_use]
    #[track_caller]
    pub fn refusal(&self) -> (u16, i64) {
        (self.status, self.error().0)
    }

    /// The text of a tool's result.
    ///
    /// # Panics
    /// When the answer is an error.
    #[must_use]
    #[track_caller]
    pub fn text_content(&self) -> String {
        let result = self.result();
        let parts = result["content"].as_array().cloned().unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect()
    }
}

/// The data of one event, its lines joined (HTML, "Server-sent events").
fn data_of(event: &str) -> String {
    let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
    lines
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect::<Vec<_>>()
        .join("\n")
}
