//! Who hears what a process says of its own accord, and what they want to hear: log levels and subscriptions.
//!
//! One for a process and those that follow it after a crash. `wishes` notes what callers want, `inbound` brings what the
//! process says. Nothing here waits: messages go into bounded mailboxes, and what is full is counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_protocol::params::LOG_LEVELS;

use super::Setup;
use super::process::Process;
use super::table::Table;
use crate::model::ProcessScope;
use crate::upstream::asker::Asker;
use crate::upstream::conversation::Client;
use crate::upstream::mailbox::{Mailbox, Undelivered};
use crate::upstream::outgoing::{CAPABILITIES, EVERYTHING};

/// Who the callers of a process are.
#[derive(Debug)]
pub(super) enum Kind {
    /// All callers there are: each hears what it asked for, and nobody can be asked anything.
    All,
    /// One caller without sessions, in several calls at a time. It hears what it asked for; what is said and asked while
    /// a single call is under way belongs to that call.
    Caller,
    /// One session, which hears everything and can be asked at any time.
    Session(Arc<Mailbox>),
}

/// What callers want, and the way to each.
pub(super) type Wishes = Table<Arc<Mailbox>>;

/// The callers of a process.
#[derive(Debug)]
pub(super) struct Audience {
    kind: Kind,
    /// What the process is told that its client can do, as JSON text.
    capabilities: Box<str>,
    table: Mutex<Wishes>,
}

impl Audience {
    /// Of the process for all callers: nobody yet. Where callers have processes of their own, it is only there to be
    /// listed, and some servers list less to clients that can do less.
    pub(super) fn of_all(upstream: ProcessScope) -> Self {
        let capabilities = match upstream {
            ProcessScope::Shared => CAPABILITIES,
            ProcessScope::Session => EVERYTHING,
        };
        Self::of(Kind::All, capabilities)
    }

    /// Of a process for one caller without sessions.
    pub(super) fn of_caller(client: &Client) -> Self {
        Self::of(Kind::Caller, client.capabilities())
    }

    /// Of a process for one session.
    pub(super) fn of_session(uid: u64, client: &Arc<Client>, setup: &Setup) -> Self {
        let mailbox = Arc::new(setup.mailbox(client));
        let kind = Kind::Session(Arc::clone(&mailbox));
        let audience = Self::of(kind, client.capabilities());
        audience.table().join(uid, || mailbox);
        audience
    }

    fn of(kind: Kind, capabilities: &str) -> Self {
        Self {
            kind,
            capabilities: capabilities.into(),
            table: Mutex::default(),
        }
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Who shares the process.
    pub(super) fn scope(&self) -> ProcessScope {
        match self.kind {
            Kind::All => ProcessScope::Shared,
            Kind::Caller | Kind::Session(_) => ProcessScope::Session,
        }
    }

    pub(super) fn capabilities(&self) -> &str {
        &self.capabilities
    }

    /// What callers want. Whoever holds it may queue lines for the process, so that it hears of wishes in the order in
    /// which they were noted; nobody may wait.
    pub(super) fn table(&self) -> MutexGuard<'_, Wishes> {
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
    match mailbox.post(Asker::process(from), message) {
        Ok(()) | Err(Undelivered::NobodyListens) => {}
        Err(Undelivered::Full) => from.setup.meters.dropped.inc(),
    }
}
