//! An inbox that keeps what it gets, and a reply that is read while it goes on.

use std::pin::Pin;
use std::sync::Mutex;

use bytes::Bytes;
use portcullis_protocol::sse::Decoder;
use tokio::sync::Semaphore;

use super::*;

/// Keeps every message, with the way back to who sent it.
#[derive(Debug)]
pub struct Ears {
    heard: Mutex<Vec<(Asker, Value)>>,
    /// How many messages it still takes; with none left it makes the next one wait.
    patience: Semaphore,
}

impl Ears {
    pub fn open() -> Arc<Self> {
        Self::that_take(Semaphore::MAX_PERMITS)
    }

    pub fn that_take(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            patience: Semaphore::new(messages),
        })
    }

    /// For a conversation of a session that offers these capabilities.
    pub fn of(capabilities: &str) -> (Arc<Self>, Conversation) {
        let (ears, conversation) = (Self::open(), Conversation::new(capabilities));
        conversation.listen(Arc::clone(&ears) as Arc<dyn Inbox>);
        (ears, conversation)
    }

    pub fn heard(&self) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, message)| message.clone()).collect()
    }

    /// Waits for a message of that method.
    pub async fn hear(&self, method: &str) -> (Asker, Value) {
        let found = || {
            let heard = self.heard.lock().unwrap();
            let mut wanted = heard
                .iter()
                .filter(|(_, message)| message["method"] == method);
            wanted.next().cloned()
        };
        until(method, || found().is_some()).await;
        found().unwrap()
    }
}

impl Inbox for Ears {
    fn deliver(
        &self,
        from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.patience.acquire().await.unwrap().forget();
            let message = serde_json::from_str(&message).unwrap();
            self.heard.lock().unwrap().push((from.unwrap(), message));
        })
    }
}

/// A reply in events, read one by one.
pub struct Unfolding {
    pub asker: Option<Asker>,
    body: UpstreamBody,
    decoder: Decoder,
}

impl Unfolding {
    pub fn new(reply: UpstreamReply) -> Self {
        assert_eq!(reply.kind, ReplyKind::Events);
        Self {
            asker: reply.asker,
            body: reply.body,
            decoder: Decoder::new(1 << 20),
        }
    }

    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Some(serde_json::from_str(&event.data).unwrap());
            }
            let data = self.body.frame().await?.unwrap().into_data().unwrap();
            self.decoder.push(&data).unwrap();
        }
    }

    /// Answers the question that comes next.
    pub async fn answer(&mut self, method: &str, result: Value) {
        let question = self.next().await.unwrap();
        assert_eq!(question["method"], method);
        tell(self.asker.as_ref().unwrap(), &question, result).await;
    }
}

/// Answers a question.
pub async fn tell(asker: &Asker, question: &Value, result: Value) {
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    asker.tell(Bytes::from(answer.to_string())).await.unwrap();
}
