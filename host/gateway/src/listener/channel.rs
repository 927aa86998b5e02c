//! Messages whose replies go to the channel of their session: a stream of HTTP+SSE, or a WebSocket.
//!
//! Each is walked on a task of its own, and what comes back is written to the one stream event by event, as far as its
//! reader lets it.

use portcullis_protocol::envelope::{self, Message};
use portcullis_protocol::error::{INTERNAL_ERROR, error_body};
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use crate::session::Ticket;

use super::Reply;
use super::messages::Messages;

/// Passes a reply on once it is there, until the message is taken back or its session ends. What is no request gets none.
pub(super) fn carry(
    tracker: &TaskTracker,
    ticket: Ticket,
    reply: impl Future<Output = Reply> + Send + 'static,
) {
    tracker.spawn(async move {
        let taken_back = ticket.taken_back.clone();
        taken_back
            .run_until_cancelled(async {
                let reply = reply.await;
                if let Some(id) = &ticket.request_id {
                    pass(&ticket, id, reply).await;
                }
            })
            .await;
    });
}

async fn pass(ticket: &Ticket, id: &str, reply: Reply) {
    let stream = &ticket.session().pushed;
    let mut messages = Messages::of(reply);
    let mut is_answered = false;
    while let Some(message) = messages.next().await {
        is_answered |= answers(&message, id);
        stream.append(message).await;
    }
    // On a connection of its own a reply that ends is seen to end; here somebody must say so.
    if !is_answered {
        stream.append(cut_off(id)).await;
    }
}

/// Whether it is the response to that request, or to one that could not be read.
fn answers(message: &str, id: &str) -> bool {
    match envelope::parse_str(message) {
        Ok(Message::Response(response)) => response.id.is_none_or(|answered| answered.get() == id),
        Ok(Message::Request(_) | Message::Notification(_)) | Err(_) => false,
    }
}

fn cut_off(id: &str) -> String {
    let id = RawValue::from_string(id.to_owned()).ok();
    let why = "the reply was cut off before its result; call again";
    let body = error_body(id.as_deref(), INTERNAL_ERROR, why, None);
    String::from_utf8(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_response_to_a_request_answers_it() {
        for (message, want) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, true),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}"#,
                true,
            ),
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, false),
            (r#"{"jsonrpc":"2.0","method":"notifications/x"}"#, false),
            ("nonsense", false),
        ] {
            assert_eq!(answers(message, "7"), want, "{message}");
        }
        assert!(answers(&cut_off("\"a\""), "\"a\""));
    }
}
