//! A double of the host, so that a policy is tested with plain `cargo test`.
//!
//! ```
//! use portcullis_sdk::testing::{Call, Host};
//! use portcullis_sdk::{Identity, clock};
//!
//! let host = Host::new().at_ms(60_000).key("pk_1", Identity::new("alice"));
//! let call = Call::tool("search")
//!     .tenant("acme")
//!     .header("Authorization", "Bearer pk_1")
//!     .arguments(r#"{"query": "rust"}"#)
//!     .build();
//! assert_eq!(call.argument("/query").as_deref(), Some("\"rust\""));
//! host.advance_ms(5);
//! assert_eq!(clock::now_ms(), 60_005);
//! ```

mod call;
mod callers;
mod gcra;
mod host;
mod manifest;

pub use call::{Call, reply};
pub use callers::Callers;
pub use host::{Host, Sample};
pub use manifest::manifest_problems;
