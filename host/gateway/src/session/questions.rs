//! What upstreams have asked a session's client and wait to hear: sampling, elicitation, roots.
//!
//! A question goes out under an id of the gateway's own, since two upstreams may use the same one. The answer finds
//! its way back by that id (MCP 2025-11-25, "Sampling", "Elicitation", "Roots").

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::upstream::Asker;

/// Questions that one client leaves open; the oldest are given up for newer ones.
const OPEN_MAX: usize = 256;

/// A question that is open.
#[derive(Debug)]
pub struct Question {
    ours: String,
    /// The upstream's own id, as JSON text.
    pub theirs: Box<str>,
    /// The progress token under which the upstream wants to hear of progress, as JSON text.
    token: Option<Box<str>>,
    /// Who asked.
    pub asker: Asker,
}

/// The open questions of one session.
#[derive(Debug, Default)]
pub struct Questions {
    next: AtomicU64,
    open: Mutex<Vec<Question>>,
}

impl Questions {
    /// Notes a question; its new id, as JSON text, and the question that was given up for it, if one was.
    #[must_use]
    pub fn ask(
        &self,
        asker: Asker,
        theirs: &str,
        token: Option<&str>,
    ) -> (String, Option<Question>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let ours = format!("\"portcullis-{number}\"");
        let mut open = self.lock();
        let given_up = (open.len() >= OPEN_MAX).then(|| open.remove(0));
        open.push(Question {
            ours: ours.clone(),
            theirs: theirs.into(),
            token: token.map(Box::from),
            asker,
        });
        (ours, given_up)
    }

    /// The question that an answer under this id, a JSON text, is for.
    #[must_use]
    pub fn answered(&self, ours: &str) -> Option<Question> {
        let mut open = self.lock();
        let place = open.iter().position(|question| question.ours == ours)?;
        Some(open.remove(place))
    }

    /// The id that the client knows a question by which its asker takes back.
    #[must_use]
    pub fn withdrawn(&self, asker: &Asker, theirs: &str) -> Option<String> {
        let mut open = self.lock();
        let place = open
            .iter()
            .position(|question| question.asker == *asker && &*question.theirs == theirs)?;
        Some(open.remove(place).ours)
    }

    /// Who wants to hear of progress under this token, a JSON text.
    #[must_use]
    pub fn asker_of(&self, token: &str) -> Option<Asker> {
        let open = self.lock();
        let question = open
            .iter()
            .find(|question| question.token.as_deref() == Some(token))?;
        Some(question.asker.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Question>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
