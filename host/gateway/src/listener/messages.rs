//! A reply as the messages in it, for transports that carry messages and not HTTP bodies.

use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use portcullis_protocol::headers::EVENT_STREAM;
use portcullis_protocol::sse::Decoder;
use tracing::warn;

use super::{Body, BodyError, Reply};

/// What is left of a reply.
pub(super) struct Messages {
    body: Body,
    form: Form,
}

enum Form {
    /// One message, if any.
    Whole,
    /// One message an event. The gateway wrote them itself, each within its bound.
    Events(Box<Decoder>),
}

impl Messages {
    pub(super) fn of(reply: Reply) -> Self {
        let is_stream = reply
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == EVENT_STREAM);
        let form = match is_stream {
            true => Form::Events(Box::new(Decoder::new(usize::MAX))),
            false => Form::Whole,
        };
        Self {
            body: reply.into_body(),
            form,
        }
    }

    /// Waits for the next message.
    pub(super) async fn next(&mut self) -> Option<String> {
        let next = match &mut self.form {
            Form::Whole => whole(&mut self.body).await,
            Form::Events(decoder) => event(&mut self.body, decoder).await,
        };
        next.unwrap_or_else(|error| {
            warn!(%error, "a reply broke off on its way to a client");
            None
        })
    }
}

async fn whole(body: &mut Body) -> Result<Option<String>, BodyError> {
    let bytes = body.collect().await?.to_bytes();
    let text = String::from_utf8(bytes.into())?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

async fn event(body: &mut Body, decoder: &mut Decoder) -> Result<Option<String>, BodyError> {
    loop {
        while let Some(event) = decoder.next_event() {
            if event.is_message() {
                return Ok(Some(event.data));
            }
        }
        let Some(frame) = body.frame().await else {
            return Ok(None);
        };
        if let Ok(data) = frame?.into_data() {
            decoder.push(&data)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http::StatusCode;

    use super::*;
    use crate::listener::reply;

    async fn all(reply: Reply) -> Vec<String> {
        let (mut messages, mut all) = (Messages::of(reply), Vec::new());
        while let Some(message) = messages.next().await {
            all.push(message);
        }
        all
    }

    #[tokio::test]
    async fn a_reply_in_json_is_one_message_and_an_empty_one_none() {
        let json = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(all(reply::json(StatusCode::OK, json)).await, [json]);
        assert!(all(reply::empty(StatusCode::ACCEPTED)).await.is_empty());
    }

    #[tokio::test]
    async fn of_a_stream_each_event_is_one_and_comments_are_none() {
        let chunks = [
            "id: 1-0\nretry: 1000\ndata: \n\n",
            "data: a\n\n: keep-alive\n\ndata: b",
            "\n\nevent: endpoint\ndata: /x\n\nevent: message\ndata: c\ndata: d\n\n",
        ];
        let chunks = chunks.map(|chunk| Ok(Bytes::from(chunk)));
        let body = Body::Events(Box::pin(stream::iter(chunks)));
        assert_eq!(all(reply::events(body)).await, ["a", "b", "c\nd"]);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends() {
        let chunks = [Ok(Bytes::from("data: a\n\n")), Err(BodyError::from("lost"))];
        let body = Body::Events(Box::pin(stream::iter(chunks)));
        assert_eq!(all(reply::events(body)).await, ["a"]);
    }
}
