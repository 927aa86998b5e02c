//! Taking back a request whose caller has left: `notifications/cancelled` to an upstream that has sessions.
//!
//! For stateless callers a closed stream means that, and an upstream of the session era would not notice. Best effort,
//! off the caller's path.

use std::sync::Arc;
use std::time::Duration;

use super::session::HttpSession;
use super::wire::Wire;
use crate::upstream::outgoing;

/// Cancels the request when it is dropped before it is disarmed.
#[derive(Debug)]
pub(in crate::upstream) struct Abandon(Option<Armed>);

#[derive(Debug)]
struct Armed {
    wire: Arc<Wire>,
    session: Arc<HttpSession>,
    id: String,
}

impl Abandon {
    /// `id` is the JSON text of the id that the request went out with.
    pub(super) fn arm(wire: &Arc<Wire>, session: Arc<HttpSession>, id: String) -> Self {
        Self(Some(Armed {
            wire: Arc::clone(wire),
            session,
            id,
        }))
    }

    /// The request has ended by itself.
    pub(in crate::upstream) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(armed) = self.0.take() {
            cancel_soon(&armed.wire, armed.session, &armed.id);
        }
    }
}

/// Sends the notification from a task of its own.
pub(super) fn cancel_soon(wire: &Arc<Wire>, session: Arc<HttpSession>, id: &str) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let params = format!(r#"{{"requestId":{id}}}"#);
    let body = outgoing::message(None, "notifications/cancelled", Some(&params));
    let wire = Arc::clone(wire);
    let limit = Duration::from_millis(wire.limits.close_timeout_ms);
    let tracker = wire.tracker.clone();
    let cancel = async move {
        let sent = wire.notify(session.headers().clone(), body);
        if !matches!(tokio::time::timeout(limit, sent).await, Ok(Ok(()))) {
            tracing::debug!(upstream = %wire.name, "upstream was not told that a call is cancelled");
        }
    };
    tracker.spawn_on(cancel, &runtime);
}
