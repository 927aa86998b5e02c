//! What a client hears on a connection that carries everything: the stream of HTTP+SSE, or a WebSocket.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::wait;

/// Every message so far, in order. Clones hear the same.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    messages: Vec<Value>,
    pings: usize,
    ended: Option<String>,
}

impl Heard {
    /// Notes a message.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn note(&self, text: &str) {
        let message = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        self.state().messages.push(message);
    }

    /// Notes a ping.
    pub fn note_ping(&self) {
        self.state().pings += 1;
    }

    /// Pings so far.
    #[must_use]
    pub fn pings(&self) -> usize {
        self.state().pings
    }

    /// Notes that nothing more comes, and why.
    pub fn note_end(&self, why: impl Into<String>) {
        self.state().ended.get_or_insert(why.into());
    }

    /// Every message so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.state().messages.clone()
    }

    /// Every notification or request of one method so far.
    #[must_use]
    pub fn of(&self, method: &str) -> Vec<Value> {
        let mut messages = self.messages();
        messages.retain(|message| message["method"] == method);
        messages
    }

    /// The response to the request of that id.
    pub async fn answer(&self, id: &Value) -> Value {
        wait::until(&format!("the answer to {id}"), || {
            let messages = self.messages();
            let found = messages
                .into_iter()
                .find(|message| message.get("method").is_none() && message["id"] == *id);
            async move { found }
        })
        .await
    }

    /// The first message of one method.
    pub async fn first(&self, method: &str) -> Value {
        wait::until(&format!("a message {method}"), || {
            let found = self.of(method).into_iter().next();
            async move { found }
        })
        .await
    }

    /// Why it ended, once it has.
    pub async fn end(&self) -> String {
        wait::until("the end of a connection", || {
            let ended = self.state().ended.clone();
            async move { ended }
        })
        .await
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
