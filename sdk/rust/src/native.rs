//! The host of a policy that is not a component: unit tests and native benchmarks.
//!
//! A native host answers through [`Host`], one per thread; messages come as [`CallView`] and [`ReplyView`].
//! The double that tests use is in [`testing`](crate::testing).

pub(crate) mod backend;

use std::cell::RefCell;
use std::rc::Rc;

use crate::Identity;
use crate::logging::Level;
use crate::quota::{Request, Verdict};
use crate::{fs, http};

/// What [`Call`](crate::Call) asks; see there.
#[allow(missing_docs, reason = "the methods of `Call`, one for one")]
pub trait CallView {
    fn tenant(&self) -> String;
    fn server(&self) -> String;
    fn method(&self) -> Option<String>;
    fn is_from_upstream(&self) -> bool {
        false
    }
    fn target(&self) -> Option<String>;
    fn header(&self, name: &str) -> Option<String>;
    fn peer(&self) -> String;
    fn identity(&self) -> Option<Identity>;
    fn subject(&self) -> Option<String> {
        self.identity().map(|who| who.subject)
    }
    fn team(&self) -> Option<String> {
        self.identity()?.team
    }
    fn session(&self) -> Option<String>;
    fn arguments(&self) -> Option<String>;
    fn argument(&self, pointer: &str) -> Option<String>;
    fn definition(&self) -> Option<String>;
    fn candidate(&self, index: u32) -> Option<String>;
    fn candidate_label(&self, index: u32, label: &str) -> Option<String>;
}

/// What [`Reply`](crate::Reply) asks; see there.
#[allow(missing_docs, reason = "the methods of `Reply`, one for one")]
pub trait ReplyView {
    fn is_error(&self) -> bool;
    fn size_bytes(&self) -> u64;
    fn json(&self) -> String;
    fn get(&self, pointer: &str) -> Option<String>;
}

/// Everything that a policy can ask of its host. What is left out fails closed.
pub trait Host {
    /// One line for the operator.
    fn log(&self, _level: Level, _message: &str) {}

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64 {
        0
    }

    /// Takes from every key or from none.
    fn quota_take(&self, requests: &[Request]) -> Vec<Verdict> {
        let refused = |_| Verdict {
            allowed: false,
            remaining: 0,
            retry_after_ms: u64::MAX,
        };
        requests.iter().map(refused).collect()
    }

    /// The number that stands for a token, and its verified claims as a JSON object.
    ///
    /// # Errors
    ///
    /// Why the token does not hold.
    fn jwt_verify(
        &self,
        _token: &str,
        _issuers: &[String],
        _audiences: &[String],
    ) -> Result<(u64, String), String> {
        Err("keys-unavailable".to_owned())
    }

    /// The identity behind an API key.
    fn key_lookup(&self, _presented: &str) -> Option<Identity> {
        None
    }

    /// The value of a key.
    fn state_get(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    /// Keeps a value.
    ///
    /// # Errors
    ///
    /// The plugin's share is used up.
    fn state_set(&self, _key: &str, _value: &[u8], _ttl_ms: Option<u64>) -> Result<(), String> {
        Err("this host keeps no state".to_owned())
    }

    /// Forgets a key.
    fn state_delete(&self, _key: &str) {}

    /// Random bytes. A host without a generator has none to give.
    fn random_bytes(&self, _len: u32) -> Vec<u8> {
        Vec::new()
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// There is no response.
    fn http_send(&self, _request: &http::Request) -> Result<http::Response, http::Error> {
        Err(http::Error::Denied("this host sends nothing".to_owned()))
    }

    /// A file.
    ///
    /// # Errors
    ///
    /// It may not be read.
    fn fs_read(&self, _path: &str) -> Result<Vec<u8>, fs::Error> {
        Err(fs::Error::Denied)
    }

    /// Writes a file.
    ///
    /// # Errors
    ///
    /// It may not be written.
    fn fs_write(&self, _path: &str, _data: &[u8]) -> Result<(), fs::Error> {
        Err(fs::Error::Denied)
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// It may not be removed.
    fn fs_remove(&self, _path: &str) -> Result<(), fs::Error> {
        Err(fs::Error::Denied)
    }

    /// What is in a folder.
    ///
    /// # Errors
    ///
    /// It may not be read.
    fn fs_entries(&self, _path: &str) -> Result<Vec<fs::Entry>, fs::Error> {
        Err(fs::Error::Denied)
    }

    /// Adds to a counter.
    fn metrics_count(&self, _name: &str, _value: u64, _labels: &[(String, String)]) {}

    /// Adds a sample to a histogram.
    fn metrics_observe(&self, _name: &str, _value: f64, _labels: &[(String, String)]) {}
}

/// The host of a thread that has none.
struct Nobody;

impl Host for Nobody {}

thread_local! {
    static HOST: RefCell<Rc<dyn Host>> = RefCell::new(Rc::new(Nobody));
}

/// Makes `host` the host of this thread, until the next call.
pub fn install(host: Rc<dyn Host>) {
    HOST.with(|current| current.replace(host));
}

pub(crate) fn host() -> Rc<dyn Host> {
    HOST.with(|current| Rc::clone(&current.borrow()))
}
