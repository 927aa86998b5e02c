//! Who hears what a process says of its own accord, and what they want to hear: log levels and subscriptions.
//!
//! One for a process and those that follow it after a crash. `wishes` notes what callers want, `inbound` brings what the
//! process says. Nothing here waits: messages go into bounded mailboxes, and what is full is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_protocol::params::LOG_LEVELS;

use super::Setup;
use super::mailbox::{Mailbox, Undelivered};
use super::process::Process;
use super::table::Table;
use crate::model::ProcessScope;
use crate::upstream::conversation::Client;
use crate::upstream::outgoing::CAPABILITIES;

/// What a client can have, as JSON text. Some servers list less to clients that can do less, and what is listed is for
/// all of them.
const EVERYTHING: &str = r#"{"roots":{},"sampling":{},"elicitation":{"form":{},"url":{}}}"#;

/// The callers of a process.
#[derive(Debug)]
pub(super) struct Audience {
    scope: ProcessScope,
    /// The session that has the process to itself, where one has. It hears everything, and can be asked.
    client: Option<Arc<Mailbox>>,
    /// What the process is told that its client can do, as JSON text.
    capabilities: Box<str>,
    table: Mutex<Table<Arc<Mailbox>>>,
}

impl Audience {
    /// Of the process for all callers: nobody yet. Where callers have processes of their own, it is only there to be
    /// listed.
    pub(super) fn of_all(upstream: ProcessScope) -> Self {
        let capabilities = match upstream {
            ProcessScope::Shared => CAPABILITIES,
            ProcessScope::Session => EVERYTHING,
        };
        Self::of_many(ProcessScope::Shared, capabilities)
    }

    /// Of a process for one caller without sessions, who may have several conversations.
    pub(super) fn of_caller() -> Self {
        Self::of_many(ProcessScope::Session, CAPABILITIES)
    }

    fn of_many(scope: ProcessScope, capabilities: &str) -> Self {
        Self {
            scope,
            client: None,
            capabilities: capabilities.into(),
            table: Mutex::default(),
        }
    }

    /// Of a process for one session.
    pub(super) fn of_session(uid: u64, client: &Arc<Client>, setup: &Setup) -> Self {
        let mailbox = Arc::new(Mailbox::open(client, setup));
        let mut table = Table::default();
        table.join(uid, || Arc::clone(&mailbox));
        Self {
            scope: ProcessScope::Session,
            client: Some(mailbox),
            capabilities: client.capabilities().into(),
            table: Mutex::new(table),
        }
    }

    /// Who shares the process.
    pub(super) fn scope(&self) -> ProcessScope {
        self.scope
    }

    /// The session that has the process to itself.
    pub(super) fn client(&self) -> Option<&Mailbox> {
        self.client.as_deref()
    }

    pub(super) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    /// What callers want. Whoever holds it may queue lines for the process, so that it hears of wishes in the order in
    /// which they were noted; nobody may wait.
    pub(super) fn table(&self) -> MutexGuard<'_, Table<Arc<Mailbox>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log message, for those who asked for messages that are no more severe.
    pub(super) fn log(&self, from: &Arc<Process>, level: &str, message: &str) {
        let Some(severity) = LOG_LEVELS.iter().position(|known| *known == level) else {
            return;
        };
        for mailbox in self.table().hearing(severity) {
            tell(mailbox, from, message);
        }
    }

    /// An update of a resource, for those who subscribed to it.
    pub(super) fn updated(&self, from: &Arc<Process>, uri: &str, message: &str) {
        for mailbox in self.table().subscribed(uri) {
            tell(mailbox, from, message);
        }
    }
}

fn tell(mailbox: &Mailbox, from: &Arc<Process>, message: &str) {
    match mailbox.post(from, message) {
        Ok(()) | Err(Undelivered::NobodyListens) => {}
        Err(Undelivered::Full) => from.setup.meters.dropped.inc(),
    }
}
