//! Tokens that an ordinary verifier accepts.
