//! The glue between a [`Policy`] and the component's exports.
//!
//! Before it: the generated `extern` functions. After it: the policy's own code. It holds the one configured instance
//! of the component and decides nothing.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::bindings::exports::portcullis::policy as exports;
use crate::bindings::portcullis::policy::types as raw;
use crate::{Call, Caller, Candidate, Denial, Edit, Entry, Manifest, Policy, Reply, logging};

/// Where the configured policy of this component lives. [`export!`](crate::export) implements it.
pub trait Instance: Policy {
    /// Reads the place of the instance.
    fn with<R>(read: impl FnOnce(&OnceCell<Self>) -> R) -> R;
}

/// The component of a policy: a type to hang the exports on.
pub struct Component<P>(PhantomData<P>);

fn hook<P: Instance, R>(run: impl FnOnce(&P) -> Result<R, Denial>) -> Result<R, Denial> {
    P::with(|instance| match instance.get() {
        Some(policy) => run(policy),
        None => Err(Denial::unavailable("The policy has no configuration.")),
    })
}

#[allow(
    unsafe_code,
    reason = "a transparent wrapper around the same reference"
)]
fn call(raw: &raw::Call) -> &Call {
    // SAFETY: `Call` is `repr(transparent)` over `raw::Call`.
    unsafe { &*std::ptr::from_ref(raw).cast::<Call>() }
}

#[allow(
    unsafe_code,
    reason = "a transparent wrapper around the same reference"
)]
fn reply(raw: &raw::Reply) -> &Reply {
    // SAFETY: `Reply` is `repr(transparent)` over `raw::Reply`.
    unsafe { &*std::ptr::from_ref(raw).cast::<Reply>() }
}

impl<P: Instance> exports::lifecycle::Guest for Component<P> {
    fn describe() -> Manifest {
        P::manifest()
    }

    fn configure(config: String) -> Result<(), String> {
        // A panic becomes a trap without a word; the operator gets the word.
        std::panic::set_hook(Box::new(|panic| logging::error(&panic.to_string())));
        let policy = P::configure(&config)?;
        P::with(|instance| instance.set(policy))
            .map_err(|_| "this instance already has its configuration".to_owned())
    }
}

impl<P: Instance> exports::authenticate::Guest for Component<P> {
    fn authenticate(raw: &raw::Call) -> Result<Option<Caller>, Denial> {
        hook(|policy: &P| policy.authenticate(call(raw)))
    }
}

impl<P: Instance> exports::admit::Guest for Component<P> {
    fn admit(raw: &raw::Call) -> Result<(), Denial> {
        hook(|policy: &P| policy.admit(call(raw)))
    }
}

impl<P: Instance> exports::route::Guest for Component<P> {
    fn route(raw: &raw::Call, candidates: Vec<Candidate>) -> Result<Option<u32>, Denial> {
        hook(|policy: &P| policy.route(call(raw), &candidates))
    }
}

impl<P: Instance> exports::transform_call::Guest for Component<P> {
    fn transform_call(raw: &raw::Call) -> Result<Option<String>, Denial> {
        hook(|policy: &P| policy.transform_call(call(raw)))
    }
}

impl<P: Instance> exports::transform_reply::Guest for Component<P> {
    fn transform_reply(raw: &raw::Call, back: &raw::Reply) -> Result<Option<String>, Denial> {
        hook(|policy: &P| policy.transform_reply(call(raw), reply(back)))
    }
}

impl<P: Instance> exports::transform_listing::Guest for Component<P> {
    fn transform_listing(raw: &raw::Call, entries: Vec<Entry>) -> Result<Vec<Edit>, Denial> {
        hook(|policy: &P| policy.transform_listing(call(raw), &entries))
    }
}
