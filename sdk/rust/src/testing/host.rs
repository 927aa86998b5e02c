//! The double itself: a settable clock, real quota arithmetic, and a memory of everything that it was told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::Identity;
use crate::logging::Level;
use crate::native;
use crate::quota::{Request, Verdict};
use crate::{fs, http};

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
    sent: RefCell<Vec<http::Request>>,
    responses: RefCell<VecDeque<Result<http::Response, http::Error>>>,
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    random: Cell<u8>,
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

    /// What the next request is answered with. Each answer serves once, in order; a request without one is denied.
    #[must_use]
    pub fn respond(self, answer: Result<http::Response, http::Error>) -> Self {
        self.0.responses.borrow_mut().push_back(answer);
        self
    }

    /// A response with JSON text to the next request.
    #[must_use]
    pub fn respond_json(self, status: u16, body: &str) -> Self {
        self.respond(Ok(http::Response {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
        }))
    }

    /// Every request that was sent, in order.
    pub fn sent(&self) -> Vec<http::Request> {
        self.0.sent.borrow().clone()
    }

    /// Puts a file into the granted folder.
    #[must_use]
    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.0
            .files
            .borrow_mut()
            .insert(path.to_owned(), data.to_vec());
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

    /// The same bytes in every test.
    fn random_bytes(&self, len: u32) -> Vec<u8> {
        let next = |_| {
            let byte = self.random.get();
            self.random.set(byte.wrapping_add(1));
            byte
        };
        (0..len).map(next).collect()
    }

    fn http_send(&self, request: &http::Request) -> Result<http::Response, http::Error> {
        self.sent.borrow_mut().push(request.clone());
        let answer = self.responses.borrow_mut().pop_front();
        answer.unwrap_or_else(|| Err(http::Error::Denied("no answer was prepared".to_owned())))
    }

    fn fs_read(&self, path: &str) -> Result<Vec<u8>, fs::Error> {
        let files = self.files.borrow();
        files.get(path).cloned().ok_or(fs::Error::NotFound)
    }

    fn fs_write(&self, path: &str, data: &[u8]) -> Result<(), fs::Error> {
        self.files
            .borrow_mut()
            .insert(path.to_owned(), data.to_vec());
        Ok(())
    }

    fn fs_remove(&self, path: &str) -> Result<(), fs::Error> {
        let removed = self.files.borrow_mut().remove(path);
        removed.map(drop).ok_or(fs::Error::NotFound)
    }

    /// Files alone: their whole paths below the folder.
    fn fs_entries(&self, path: &str) -> Result<Vec<fs::Entry>, fs::Error> {
        let files = self.files.borrow();
        let folder = match path {
            "." => String::new(),
            path => format!("{path}/"),
        };
        let below = files.iter().filter_map(|(path, data)| {
            let name = path.strip_prefix(&folder)?;
            Some(fs::Entry {
                name: name.to_owned(),
                is_folder: false,
                size_bytes: u64::try_from(data.len()).unwrap_or(u64::MAX),
            })
        });
        Ok(below.collect())
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
    use crate::{Identity, clock, fs, http, jwt, keys, logging, metrics, random, state};

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
    fn requests_are_answered_once_and_files_are_kept() {
        let host = Host::new()
            .respond_json(200, "{}")
            .respond(Err(http::Error::Timeout))
            .file("a/b", b"one");
        let request = http::Request::new("POST", "http://pdp/").with_json("{}");
        let response = http::send(&request).unwrap();
        assert_eq!(
            (response.status, response.header("Content-Type")),
            (200, Some("application/json"))
        );
        assert_eq!(http::send(&request), Err(http::Error::Timeout));
        assert!(matches!(http::send(&request), Err(http::Error::Denied(_))));
        assert_eq!(host.sent(), vec![request; 3]);

        fs::write("a/c", b"other").unwrap();
        let names = |path| {
            fs::entries(path)
                .unwrap()
                .into_iter()
                .map(|entry| entry.name)
        };
        assert!(names("a").eq(["b", "c"]));
        fs::remove("a/b").unwrap();
        assert!(names(".").eq(["a/c"]));
        assert_eq!(fs::read("a/b"), Err(fs::Error::NotFound));
        assert_eq!(
            (random::bytes(2), random::bytes(2)),
            (vec![0, 1], vec![2, 3])
        );
    }

    #[test]
    fn a_thread_without_a_host_fails_closed() {
        std::thread::spawn(|| {
            assert!(http::send(&http::Request::new("GET", "http://pdp/")).is_err());
            assert_eq!(fs::read("a"), Err(fs::Error::Denied));
            assert_eq!(keys::lookup("pk_1"), None);
            assert!(jwt::Verifier::new(&[], &[]).verify("a.b.good").is_err());
            assert!(state::set("k", b"v", None).is_err());
        })
        .join()
        .unwrap();
    }
}
