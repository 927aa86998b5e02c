//! Trust in plugins: what a signature says, whether it holds, and whose signatures count where.
//!
//! Off the walk: `admin` asks here before a chain is written, and the command line signs and verifies with the same
//! code. It never reads the store, and it knows keys by all their bytes: a key's id is for people.

mod judgement;
mod private_key;
mod statement;

pub use judgement::{Distrust, Judgement, judge};
pub use private_key::{InvalidPrivateKey, PrivateKey};
pub use statement::{SignatureError, Statement};
