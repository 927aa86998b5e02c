//! Who is calling, asked of the host when a rule first needs it, and once.

use std::cell::OnceCell;

use portcullis_sdk::{Call, Identity};

/// The caller and the server that the call came to.
pub struct Caller<'a> {
    call: &'a Call,
    identity: OnceCell<Option<Identity>>,
    server: OnceCell<String>,
}

impl<'a> Caller<'a> {
    pub fn new(call: &'a Call) -> Self {
        Self {
            call,
            identity: OnceCell::new(),
            server: OnceCell::new(),
        }
    }

    /// None where the tenant lets anonymous callers in.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.get_or_init(|| self.call.identity()).as_ref()
    }

    pub fn server(&self) -> &str {
        self.server.get_or_init(|| self.call.server())
    }
}
