//! MCP and JSON-RPC as Portcullis understands them: envelopes, revisions, eras, listings, event streams.
//!
//! The gateway's listener hands bytes in and its upstreams hand bytes in; everything here is a pure function of
//! those bytes. This crate performs no I/O, knows no clock, starts no task and never logs.
//!
//! Two principles hold it together:
//!
//! * **The rules are a table.** What differs between protocol revisions is written once, in [`revision`]. The rest of
//!   the gateway asks; it never compares dates.
//! * **What is not understood is not touched.** `params` and `result` travel as raw text. Edits are made by
//!   [`splice`], which leaves every other byte as the sender wrote it: numbers, key order, escapes, whitespace.

pub mod headers;

pub mod envelope;
pub mod error;

pub mod revision;

pub mod params;

pub mod mirrored;

pub mod era;

pub mod splice;

pub mod sse;

pub mod listen;
pub mod listing;
pub mod tasks;
pub mod uri_template;

pub mod lifecycle;
pub mod rounds;

pub mod bridge;

mod text;

#[cfg(test)]
mod arbitrary;
