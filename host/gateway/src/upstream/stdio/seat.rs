//! A conversation's place at an upstream by command: a process of its own, or its part in the one for all.
//!
//! Conversations keep one for each upstream where they have wishes or a process. With the seat ends what was only there
//! for its caller: the process, or its subscriptions and its log level.

use std::sync::Arc;

use super::Setup;
use super::audience::Audience;
use super::claims::Claims;
use super::keeper::Keeper;
use super::mailbox::Mailbox;
use super::wishes;
use crate::model::ProcessScope;
use crate::upstream::conversation::Client;

/// One conversation at one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Seat {
    pub(super) keeper: Arc<Keeper>,
    /// The conversation's.
    pub(super) uid: u64,
    client: Arc<Client>,
}

impl Seat {
    /// At a process of its own, which is not started yet.
    pub(super) fn alone(
        setup: &Arc<Setup>,
        claims: &Arc<Claims>,
        (uid, client): (u64, &Arc<Client>),
    ) -> Self {
        let audience = Audience::of_one(uid, client, setup);
        let keeper = Keeper::new(setup, audience, Some(Arc::clone(claims)));
        if !client.has_session() {
            claims.pool(&keeper);
        }
        Self {
            keeper,
            uid,
            client: Arc::clone(client),
        }
    }

    /// At the process for all.
    pub(super) fn among_others(keeper: &Arc<Keeper>, (uid, client): (u64, &Arc<Client>)) -> Self {
        Self {
            keeper: Arc::clone(keeper),
            uid,
            client: Arc::clone(client),
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
        table.join(self.uid, || Mailbox::open(client, setup));
    }

    /// Ends a process of its own.
    pub(in crate::upstream) fn close(&self) {
        match self.keeper.audience.scope() {
            ProcessScope::Session => self.keeper.close(),
            ProcessScope::Shared => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.keeper.audience.scope() {
            ProcessScope::Session => self.keeper.close(),
            ProcessScope::Shared => wishes::leave(&self.keeper, self.uid),
        }
    }
}
