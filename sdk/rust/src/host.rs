//! What a policy asks of the host, one module per grant.
//!
//! In a component these are its imports, and only those that are called are imported. Natively they go to the
//! [`native`](crate::native) host of the thread.

#[cfg(target_arch = "wasm32")]
use crate::bindings::portcullis::policy as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::backend;

/// Lines for the operator. Always granted, rate-capped; never put a secret here.
pub mod logging {
    pub use crate::bindings::portcullis::policy::logging::Level;

    /// One line.
    pub fn log(level: Level, message: &str) {
        super::backend::logging::log(level, message);
    }

    /// A line that helps while a policy is written.
    pub fn debug(message: &str) {
        log(Level::Debug, message);
    }

    /// A line about the ordinary.
    pub fn info(message: &str) {
        log(Level::Info, message);
    }

    /// A line about what should be looked at.
    pub fn warn(message: &str) {
        log(Level::Warn, message);
    }

    /// A line about what does not work.
    pub fn error(message: &str) {
        log(Level::Error, message);
    }
}

/// Always granted.
pub mod clock {
    /// Milliseconds since the Unix epoch, coarse on purpose.
    pub fn now_ms() -> u64 {
        super::backend::clock::now_ms()
    }
}

/// Grant `quota`: counters that outlive instances and hot swaps.
pub mod quota {
    pub use crate::bindings::portcullis::policy::quota::{Limit, Part, Request, Rule, Verdict};

    use crate::Call;

    /// Takes from every key or from none. One verdict per request, in order.
    pub fn take(requests: &[Request]) -> Vec<Verdict> {
        super::backend::quota::take(requests)
    }

    /// Rules that stay the same: made once, in `configure`. The host finds the counters of each call.
    #[derive(Debug)]
    pub struct Limiter(super::backend::quota::Limiter);

    impl Limiter {
        /// Hands the rules over.
        pub fn new(rules: &[Rule]) -> Self {
            Self(super::backend::quota::Limiter::new(rules))
        }

        /// Takes from the counters of every rule, or from none; a rule whose cost is 0 does not take part.
        ///
        /// # Errors
        ///
        /// At least one refused: one verdict per rule that took part, in order.
        pub fn take(&self, call: &Call, costs: &[u32]) -> Result<(), Vec<Verdict>> {
            self.0.take(call.raw(), costs)
        }
    }
}

/// Grant `jwt`: the host holds the keys.
pub mod jwt {
    use crate::Call;

    /// What tokens are held against: made once, in `configure`.
    #[derive(Debug)]
    pub struct Verifier(super::backend::jwt::Verifier);

    impl Verifier {
        /// An empty list of issuers stands for all that the tenant has registered, one of audiences skips the audience.
        pub fn new(issuers: &[String], audiences: &[String]) -> Self {
            Self(super::backend::jwt::Verifier::new(issuers, audiences))
        }

        /// Checks the token of `Authorization: Bearer`, which is never copied into the policy. `Ok(None)` when there
        /// is none, or one without the form of a JWT. A token that holds is named by a number: the same token's for
        /// as long as the host remembers it, and never another one's.
        ///
        /// # Errors
        ///
        /// Why it does not hold, from an open set: `malformed`, `unknown-issuer`, `wrong-audience`, `expired`,
        /// `not-yet-valid`, `bad-signature`, `keys-unavailable`.
        pub fn bearer(&self, call: &Call) -> Result<Option<u64>, String> {
            self.0.bearer(call.raw())
        }

        /// Checks a token from elsewhere.
        ///
        /// # Errors
        ///
        /// As [`Verifier::bearer`].
        pub fn verify(&self, token: &str) -> Result<u64, String> {
            self.0.verify(token)
        }

        /// The claims of the token that was checked last, a JSON object as its issuer wrote it; none for the number
        /// of another.
        pub fn claims(&self, token: u64) -> Option<String> {
            self.0.claims(token)
        }
    }
}

/// Grant `keys`: the tenant's API keys.
pub mod keys {
    use crate::Identity;

    /// None for a key that is unknown, revoked or expired.
    pub fn lookup(presented: &str) -> Option<Identity> {
        super::backend::keys::lookup(presented)
    }
}

/// Grant `state`: key-value state that outlives instances and hot swaps.
pub mod state {
    /// The value of a key.
    pub fn get(key: &str) -> Option<Vec<u8>> {
        super::backend::state::get(key)
    }

    /// Keeps a value, for ever or for `ttl_ms`.
    ///
    /// # Errors
    ///
    /// The plugin's share of keys or bytes is used up.
    pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
        super::backend::state::set(key, value, ttl_ms)
    }

    /// Forgets a key.
    pub fn delete(key: &str) {
        super::backend::state::delete(key);
    }
}

/// Grant `random`: bytes of the system's generator.
pub mod random {
    /// As many bytes, at most 4,096.
    pub fn bytes(len: u32) -> Vec<u8> {
        super::backend::random::bytes(len)
    }
}

/// Grant `metrics`: counters and histograms of the plugin's own.
pub mod metrics {
    /// Adds to a counter.
    pub fn count(name: &str, value: u64, labels: &[(&str, &str)]) {
        super::backend::metrics::count(name, value, &owned(labels));
    }

    /// Adds a sample to a histogram.
    pub fn observe(name: &str, value: f64, labels: &[(&str, &str)]) {
        super::backend::metrics::observe(name, value, &owned(labels));
    }

    fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = labels.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }
}
