//! Proof that a call has passed authentication and admission.

use std::ops::Deref;
use std::sync::Arc;

use crate::call::Call;

/// A call that may go on. Only [`super::Chain::admit`] makes one: its field is private to this room.
#[derive(Clone)]
pub struct Permitted(pub(super) Arc<Call>);

impl Permitted {
    /// The call, shared.
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        &self.0
    }
}

impl Deref for Permitted {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}
