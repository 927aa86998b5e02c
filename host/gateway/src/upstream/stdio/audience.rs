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

/// The callers of a process.
#[derive(Debug)]
pub(super) struct Audience {
    scope: ProcessScope,
    /// What the process is told that its client can do, as JSON text.
    capabilities: Box<str>,
    table: Mutex<Table<Mailbox>>,
}

impl Audience {
    /// Of a process for all callers: nobody yet.
    pub(super) fn of_all() -> Self {
        Self {
            scope: ProcessScope::Shared,
            capabilities: CAPABILITIES.into(),
            table: Mutex::default(),
        }
    }

    /// Of a process for one conversation alone.
    pub(super) fn of_one(uid: u64, client: &Arc<Client>, setup: &Setup) -> Self {
        let mut table = Table::default();
        table.join(uid, || Mailbox::open(client, setup));
        Self {
            scope: ProcessScope::Session,
            capabilities: client.capabilities().into(),
            table: Mutex::new(table),
        }
    }

    pub(super) fn scope(&self) -> ProcessScope {
        self.scope
    }

    pub(super) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    /// What callers want. Whoever holds it may queue lines for the process, so that it hears of wishes in the order in
    /// which they were noted; nobody may wait.
    pub(super) fn table(&self) -> MutexGuard<'_, Table<Mailbox>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something for the one conversation that has the process to itself.
    pub(super) fn post(&self, from: &Arc<Process>, message: &str) -> Result<(), Undelivered> {
        match self.table().members().next() {
            Some(mailbox) => mailbox.post(from, message),
            None => Err(Undelivered::NobodyListens),
        }
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
