//! Components from registries, by the pull half of the OCI Distribution Specification 1.1.
//!
//! `admin` asks here for the bytes behind a reference, and admits them as if they had been uploaded. Every step is held
//! against a digest: the reference names the manifest's, the manifest its layer's. Nothing is trusted to be small, near
//! or where it says it is: sizes and time are bounded, other hosts and private addresses are the operator's to allow.

mod address;
mod error;
mod manifest;
mod pull;
mod reference;
mod rules;
mod token;
mod web;

pub use error::PullError;
pub use pull::Puller;
pub use reference::{InvalidReference, OciReference};
