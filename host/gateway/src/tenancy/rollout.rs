//! A candidate beside the live chain: which calls it serves or watches, and how the two fare.
//!
//! Before it: the admin plane, which starts, judges and ends rollouts. After it: the walk. A call is of one arm from its first
//! byte to its last; nothing here waits, and where no rollout runs nothing of this is touched.

mod figures;
mod judge;
mod shadow;
mod tally;

use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::model::{RolloutPlan, RolloutRecord, Strategy};

use super::Generation;

pub use figures::{Compared, Difference, Figures, HookFigures};
pub use judge::{Judgement, judge};
pub use shadow::{Shadows, Witness, places_changed};
pub use tally::Tally;

/// A rollout that runs.
pub struct Rollout {
    /// Its number.
    pub id: u64,
    /// How the candidate meets traffic, and what ends it.
    pub plan: RolloutPlan,
    /// The candidate, compiled and configured.
    pub candidate: Arc<Generation>,
    /// How both fare; they outlive changes of the plan and of the tenant.
    pub course: Arc<Course>,
    shadows: Arc<Shadows>,
}

/// What was seen since a rollout started in this process.
pub struct Course {
    /// Since when.
    pub started: Instant,
    /// The live chain, on calls beside the candidate's.
    pub live: Tally,
    /// The candidate.
    pub candidate: Tally,
    /// What the candidate of a shadow said otherwise.
    pub compared: Compared,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            live: Tally::default(),
            candidate: Tally::default(),
            compared: Compared::default(),
        }
    }
}

impl Rollout {
    pub(super) fn new(
        record: &RolloutRecord,
        candidate: Arc<Generation>,
        (course, shadows): (Arc<Course>, Arc<Shadows>),
    ) -> Self {
        Self {
            id: record.id,
            plan: record.plan.clone(),
            candidate,
            course,
            shadows,
        }
    }

    /// Whether the candidate serves what goes by this name: always the same for the same name, and for a higher
    /// percentage still.
    #[must_use]
    pub fn serves(&self, name: &[u8]) -> bool {
        let percent = match self.plan.strategy {
            Strategy::Canary => self.plan.percent.unwrap_or_default(),
            Strategy::Shadow | Strategy::Immediate => return false,
        };
        let hash = Sha256::digest(name);
        let place = hash.first_chunk().copied().map_or(0, u32::from_be_bytes);
        f64::from(place) < percent / 100.0 * f64::from(u32::MAX)
    }

    /// Whether it watches calls that others serve.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.plan.strategy == Strategy::Shadow
    }

    /// What is counted of a call that this generation serves.
    #[must_use]
    pub fn tally(&self, generation: &Arc<Generation>) -> &Tally {
        match Arc::ptr_eq(generation, &self.candidate) {
            true => &self.course.candidate,
            false => &self.course.live,
        }
    }

    /// How both fare.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures::of(&self.course)
    }
}

#[cfg(test)]
mod tests;
