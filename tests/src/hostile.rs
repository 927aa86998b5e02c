//! The hostile corpus: guests that try to harm their host, each with the place and the name of its end.
//!
//! [`corpus`] is the whole table, in families of a file each: a guest that is added to its family is run by the tests and
//! by `portcullis-hostile`, with everything that is checked. [`Stand`] is where a guest is let loose.

mod corpus;
mod stand;

pub use corpus::corpus;
pub use stand::{Outcome, SETTINGS, Stand};

use crate::mcp::Reply;

/// Where a guest is stopped, and by what name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its upload is refused with this code.
    Upload(&'static str),
    /// No chain takes it; the document's place that is to blame.
    Chain(&'static str),
    /// Every call is refused, with this name of the failure.
    Call(&'static str),
    /// It refuses calls, as policies may, with this HTTP status.
    Denied(u16),
    /// Calls are served, and nothing has come of it.
    Served,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upload(code) => write!(f, "upload: {code}"),
            Self::Chain(pointer) => write!(f, "chain: {pointer}"),
            Self::Call(failure) => write!(f, "call: {failure}"),
            Self::Denied(status) => write!(f, "denied: {status}"),
            Self::Served => f.write_str("served"),
        }
    }
}

/// The request that reaches a guest's hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A tool is called.
    Call,
    /// A tool is called that reports progress on a stream.
    Stream,
    /// Tools are listed.
    List,
}

/// Where in a chain a guest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before API keys are looked at.
    First,
    /// When the caller is known.
    Last,
}

/// What is left when a guest has had its way.
pub struct Aftermath {
    /// What its callers got, in order.
    pub replies: Vec<Reply>,
    /// What the gateway logged meanwhile about the guest's tenant, as it was written.
    pub log: Vec<String>,
    /// The gateway's metrics of the guest's tenant.
    pub metrics: Vec<String>,
}

/// Says what harm was done, if any.
pub type Proof = fn(&Aftermath) -> Result<(), String>;

/// One row of the corpus.
pub struct Guest {
    /// Its name, as a plugin and in reports.
    pub name: &'static str,
    /// What it does, in a few words.
    pub deed: &'static str,
    /// Makes the component that is uploaded, under that name.
    pub component: fn(&str) -> Vec<u8>,
    /// How it must end.
    pub end: End,
    /// What its binding grants.
    pub grants: &'static [&'static str],
    /// `warm` or `fresh`.
    pub instances: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What reaches it.
    pub request: Request,
    /// What must not have come of it, beside the end.
    pub proof: Option<Proof>,
}

impl Guest {
    /// Whether its harm is done in the compiler, which is a process of its own: such guests take seconds each, and need no
    /// rehearsal.
    #[must_use]
    pub fn is_bomb(&self) -> bool {
        matches!(
            self.end,
            End::Upload("compile-time" | "compile-memory" | "compile-output")
        )
    }

    fn new(
        name: &'static str,
        deed: &'static str,
        end: End,
        component: fn(&str) -> Vec<u8>,
    ) -> Self {
        Self {
            name,
            deed,
            component,
            end,
            grants: &[],
            instances: "warm",
            place: Place::Last,
            request: Request::Call,
            proof: None,
        }
    }

    fn granted(mut self, grants: &'static [&'static str]) -> Self {
        self.grants = grants;
        self
    }

    fn fresh(mut self) -> Self {
        self.instances = "fresh";
        self
    }

    fn first(mut self) -> Self {
        self.place = Place::First;
        self
    }

    fn asked_for(mut self, request: Request) -> Self {
        self.request = request;
        self
    }

    fn proven_by(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }
}
