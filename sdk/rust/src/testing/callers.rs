//! What the host keeps of the callers that a policy found.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::{Caller, Identity};

/// Reads what `authenticate` answered, as the host does: what is to be kept is kept, and found again.
#[derive(Debug, Default)]
pub struct Callers(RefCell<HashMap<u32, Identity>>);

impl Callers {
    /// Who is calling; none for a number under which nothing was kept, which the host takes for a failure.
    pub fn identity(&self, caller: Caller) -> Option<Identity> {
        match caller {
            Caller::Identity(identity) => Some(identity),
            Caller::Keep((number, identity)) => {
                self.0.borrow_mut().insert(number, identity.clone());
                Some(identity)
            }
            Caller::Kept(number) => self.0.borrow().get(&number).cloned(),
        }
    }
}
