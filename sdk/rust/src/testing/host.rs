//! The double itself: a settable clock, real quota arithmetic, and a memory of everything that it was told.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::Identity;
use crate::logging::Level;
use crate::native;
use crate::quota::{Request, Verdict};

use super::gcra::Gcra;

/// A sample that a policy sent: name, value, labels.
pub type Sample<V> = (String, V, Vec<(String, String)>);
/// A value and the moment at which it goes, in milliseconds.
type Kept = (Vec<u8>, Option<u64>);

/// The host of this thread, from the moment it is made. Every test has a thread of its own.
#[derive(Clone, Default)]
pub struct Host(Rc<State>);

#[derive(Default)]
struct State {
    now_ms: Cell<u64>,
    logs: RefCell<Vec<(Level, String)>>,
    quota: RefCell<Gcra>,
    quota_requests: RefCell<Vec<Vec<Request>>>,
    tokens: RefCell<HashMap<String, Result<String, String>>>,
    verified: RefCell<Vec<(Vec<String>, Vec<String>)>>,
    keys: RefCell<HashMap<String, Identity>>,
    kept: RefCell<HashMap<String, Kept>>,
    counts: RefCell<Vec<Sample<u64>>>,
    samples: RefCell<Vec<Sample<f64>>>,
}

impl Host {
    /// A host at the Unix epoch that knows nobody; it serves this thread until another one is made.
    pub fn new() -> Self {
        let host = Self::default();
        native::install(Rc::<State>::clone(&host.0));
        host
    }

    /// Sets the clock.
    #[must_use]
    pub fn at_ms(self, now_ms: u64) -> Self {
        self.0.now_ms.set(now_ms);
        self
    }

    /// Moves the clock on.
    pub fn advance_ms(&self, by_ms: u64) {
        self.0.now_ms.set(self.0.now_ms.get().saturating_add(by_ms));
    }

    /// What the host's `jwt` says about a token: its claims as a JSON object, or why it does not hold.
    #[must_use]
    pub fn token(self, token: &str, verdict: Result<&str, &str>) -> Self {
        let verdict = verdict.map(str::to_owned).map_err(str::to_owned);
        self.0.tokens.borrow_mut().insert(token.to_owned(), verdict);
        self
    }

    /// Adds an API key.
    #[must_use]
    pub fn key(self, presented: &str, identity: Identity) -> Self {
        self.0
            .keys
            .borrow_mut()
            .insert(presented.to_owned(), identity);
        self
    }

    /// Every line that was logged.
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.0.logs.borrow().clone()
    }

    /// Every `quota.take`, in order.
    pub fn quota_requests(&self) -> Vec<Vec<Request>> {
        self.0.quota_requests.borrow().clone()
    }

    /// Issuers and audiences of every token that was checked, in order.
    pub fn verified(&self) -> Vec<(Vec<String>, Vec<String>)> {
        self.0.verified.borrow().clone()
    }

    /// Every `metrics.count`: name, value, labels.
    pub fn counts(&self) -> Vec<Sample<u64>> {
        self.0.counts.borrow().clone()
    }

    /// Every `metrics.observe`: name, value, labels.
    pub fn samples(&self) -> Vec<Sample<f64>> {
        self.0.samples.borrow().clone()
    }
}

impl native::Host for State {
    fn log(&self, level: Level, message: &str) {
        self.logs.borrow_mut().push((level, message.to_owned()));
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn quota_take(&self, requests: &[Request]) -> Vec<Verdict> {
        self.quota_requests.borrow_mut().push(requests.to_vec());
        self.quota.borrow_mut().take(self.now_ms.get(), requests)
    }

    fn jwt_verify(
        &self,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<(u64, String), String> {
        self.verified
            .borrow_mut()
            .push((issuers.to_vec(), audiences.to_vec()));
        let tokens = self.tokens.borrow();
        let known = tokens.get(token).cloned();
        let claims = known.unwrap_or_else(|| Err("malformed".to_owned()))?;
        let mut hasher = DefaultHasher::new();
        (token, &claims).hash(&mut hasher);
        Ok((hasher.finish(), claims))
    }

    fn key_lookup(&self, presented: &str) -> Option<Identity> {
        self.keys.borrow().get(presented).cloned()
    }

    fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        let kept = self.kept.borrow();
        let (value, until_ms) = kept.get(key)?;
        let gone = until_ms.is_some_and(|until_ms| until_ms <= self.now_ms.get());
        (!gone).then(|| value.clone())
    }

    fn state_set(&self, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
        let until_ms = ttl_ms.map(|ttl_ms| self.now_ms.get().saturating_add(ttl_ms));
        let kept = (value.to_vec(), until_ms);
        self.kept.borrow_mut().insert(key.to_owned(), kept);
        Ok(())
    }

    fn state_delete(&self, key: &str) {
        self.kept.borrow_mut().remove(key);
    }

    fn metrics_count(&self, name: &str, value: u64, labels: &[(String, String)]) {
        let sample = (name.to_owned(), value, labels.to_vec());
        self.counts.borrow_mut().push(sample);
    }

    fn metrics_observe(&self, name: &str, value: f64, labels: &[(String, String)]) {
        let sample = (name.to_owned(), value, labels.to_vec());
        self.samples.borrow_mut().push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Call;
    use super::Host;
    use crate::logging::Level;
    use crate::{Identity, clock, jwt, keys, logging, metrics, state};

    #[test]
    fn answers_and_remembers() {
        let host = Host::new()
            .at_ms(1_000)
            .token("a.b.good", Ok("{}"))
            .token("a.b.late", Err("expired"))
            .key("pk_1", Identity::new("alice").with_team("core"));
        let verifier = jwt::Verifier::new(&[], &[]);
        let good = verifier.verify("a.b.good").unwrap();
        assert_eq!(verifier.claims(good).as_deref(), Some("{}"));
        assert_eq!(verifier.claims(good.wrapping_add(1)), None);
        for (token, reason) in [
            ("a.b.late", "expired"),
            ("a.b.other", "malformed"),
            ("no", "malformed"),
        ] {
            assert_eq!(verifier.verify(token), Err(reason.to_owned()), "{token}");
        }
        let call = Call::message("ping").header("authorization", "Bearer a.b.good");
        assert_eq!(verifier.bearer(&call.build()), Ok(Some(good)));
        let basic = Call::message("ping").header("authorization", "Basic a.b.good");
        assert_eq!(verifier.bearer(&basic.build()), Ok(None));
        assert_eq!(keys::lookup("pk_1").unwrap().team.as_deref(), Some("core"));
        assert_eq!(keys::lookup("pk_2"), None);

        state::set("k", b"v", Some(10)).unwrap();
        assert_eq!(state::get("k").as_deref(), Some(&b"v"[..]));
        host.advance_ms(10);
        assert_eq!((clock::now_ms(), state::get("k")), (1_010, None));

        logging::warn("careful");
        metrics::count("hits", 2, &[("kind", "x")]);
        assert_eq!(host.logs(), [(Level::Warn, "careful".to_owned())]);
        assert_eq!(host.counts()[0].1, 2);
    }

    #[test]
    fn a_thread_without_a_host_fails_closed() {
        std::thread::spawn(|| {
            assert_eq!(keys::lookup("pk_1"), None);
            assert!(jwt::Verifier::new(&[], &[]).verify("a.b.good").is_err());
            assert!(state::set("k", b"v", None).is_err());
        })
        .join()
        .unwrap();
    }
}
