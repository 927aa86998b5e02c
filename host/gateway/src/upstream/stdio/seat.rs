//! A conversation's place at an upstream by command: with a process of its own, or at one that serves others too.
//!
//! Conversations keep one for each upstream where they have wishes or a process. With the seat ends what was only there
//! for its caller: the process, or its subscriptions and its log level.

use std::sync::Arc;

use super::Setup;
use super::audience::{Audience, Kind};
use super::claims::Claims;
use super::keeper::Keeper;
use super::wishes;
use crate::upstream::conversation::Client;

/// One conversation at one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Seat {
    pub(super) keeper: Arc<Keeper>,
    /// The conversation's.
    pub(super) uid: u64,
    client: Arc<Client>,
    part: Part,
}

/// What a seat has in its process.
#[derive(Debug)]
enum Part {
    /// The process is there for it, and ends with it.
    Owner,
    /// It is one of many. Whose process it is stays seated as well.
    Guest { _host: Option<Arc<Seat>> },
}

impl Seat {
    /// With a process of its own, which is not started yet. That of a caller without sessions may serve others of its
    /// conversations, and is taken away while nobody uses it and another has need of one.
    pub(super) fn of_own(
        setup: &Arc<Setup>,
        claims: &Arc<Claims>,
        (uid, client): (u64, &Arc<Client>),
    ) -> Self {
        let has_session = client.has_session();
        let audience = if has_session {
            Audience::of_session(uid, client, setup)
        } else {
            Audience::of_caller(client)
        };
        let keeper = Keeper::new(setup, audience, Some(Arc::clone(claims)));
        if !has_session {
            claims.pool(&keeper);
        }
        Self {
            keeper,
            uid,
            client: Arc::clone(client),
            part: Part::Owner,
        }
    }

    /// At a process that serves others, too; `host` is the owner's seat where it has one.
    pub(super) fn among_others(
        keeper: &Arc<Keeper>,
        host: Option<Arc<Seat>>,
        (uid, client): (u64, &Arc<Client>),
    ) -> Self {
        Self {
            keeper: Arc::clone(keeper),
            uid,
            client: Arc::clone(client),
            part: Part::Guest { _host: host },
        }
    }

    /// Whether it is at that upstream.
    pub(in crate::upstream) fn is_at(&self, setup: &Arc<Setup>) -> bool {
        Arc::ptr_eq(&self.keeper.setup, setup)
    }

    /// Makes sure that what it wants to hear finds the way.
    pub(super) fn join(&self) {
        let (client, setup) = (&self.client, &self.keeper.setup);
        let mut table = self.keeper.audience.table();
        table.join(self.uid, || Arc::new(setup.mailbox(client)));
    }

    /// Ends the process of a session, though calls still wait for it. Others end with their last seat.
    pub(in crate::upstream) fn close(&self) {
        match self.keeper.audience.kind() {
            Kind::Session(_) => self.keeper.close(),
            Kind::Caller | Kind::All => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.part {
            Part::Owner => self.keeper.close(),
            Part::Guest { .. } => wishes::leave(&self.keeper, self.uid),
        }
    }
}
