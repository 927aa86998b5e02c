//! Runs policy components: the only crate that names wasmtime.
//!
//! ```text
//! bytes -> Sandbox::admit -> Plugin -> Plugin::bind -> Binding -> authenticate | admit | route | transform…
//! ```
//!
//! A [`Plugin`] is compiled once, at admission, and cached on disk; a [`Binding`] is a plugin with configuration,
//! grants and limits, and owns its pool of instances. Hooks are synchronous and answer from memory. Plugins that need
//! more than memory are of another class: `waiting`, a [`WaitingBinding`] whose hooks are awaited. Whatever a guest does,
//! the caller gets a value or a typed [`Failure`]; this crate never opens a socket, and on the fast path never waits.

mod admit_error;
mod answer;
mod binding;
mod bindings;
mod cache;
mod callers;
mod compile;
mod digest;
mod failure;
mod guest;
mod handles;
mod host;
mod machine_code;
mod plugin;
mod pool;
mod sandbox;
mod services;
mod ticker;
mod view;
mod waiting;

pub use admit_error::AdmitError;
pub use binding::{BindError, Binding, BindingSettings, InstanceClass};
pub use bindings::exports::portcullis::policy::route::Candidate;
pub use bindings::exports::portcullis::policy::transform_listing::{Edit, Entry};
pub use bindings::portcullis::policy::http::{
    Error as HttpError, Request as HttpRequest, Response as HttpResponse,
};
pub use bindings::portcullis::policy::quota::{Limit as QuotaLimit, Verdict as QuotaVerdict};
pub use bindings::portcullis::policy::types::{Denial, Identity};
pub use compile::{CompileLimits, compile_if_asked};
pub use digest::{Digest, InvalidDigest};
pub use failure::Failure;
pub use plugin::{Grant, Hook, Manifest, Plugin, PluginClass};
pub use pool::{PoolStats, Pooled};
pub use sandbox::{Sandbox, SandboxError, SandboxSettings};
pub use services::{LogLevel, QuotaTake, Scope, Services, VerifiedToken};
pub use view::{CallView, ReplyView, bearer_token};
pub use waiting::{FolderAccess, FolderGrant, Outside, WaitingBinding, WaitingSettings};

/// What a hook answers: the guest's own value or denial, or the host's word on how it failed.
pub type HookResult<T> = Result<Result<T, Denial>, Failure>;
