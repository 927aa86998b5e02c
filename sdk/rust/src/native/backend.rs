//! The same paths as the bindings of a component, answered by the host of the thread.

pub(crate) mod logging {
    use crate::logging::Level;

    pub(crate) fn log(level: Level, message: &str) {
        super::super::host().log(level, message);
    }
}

pub(crate) mod clock {
    pub(crate) fn now_ms() -> u64 {
        super::super::host().now_ms()
    }
}

pub(crate) mod quota {
    use crate::Call;
    use crate::bindings::portcullis::policy::quota::{Part, Request, Rule, Verdict};

    pub(crate) fn take(requests: &[Request]) -> Vec<Verdict> {
        super::super::host().quota_take(requests)
    }

    /// Rules, and the keys of their counters as the gateway makes them.
    #[derive(Debug)]
    pub(crate) struct Limiter(Vec<Rule>);

    impl Limiter {
        pub(crate) fn new(rules: &[Rule]) -> Self {
            Self(rules.to_vec())
        }

        pub(crate) fn take(&self, call: &Call, costs: &[u32]) -> Result<(), Vec<Verdict>> {
            let taking = self.0.iter().zip(costs).filter(|(_, cost)| **cost > 0);
            let requests: Vec<Request> = taking
                .map(|(rule, cost)| Request {
                    key: key(rule, call),
                    cost: *cost,
                    limit: rule.limit,
                })
                .collect();
            if requests.is_empty() {
                return Ok(());
            }
            let verdicts = take(&requests);
            let granted = verdicts.len() == requests.len() && verdicts.iter().all(|v| v.allowed);
            if granted { Ok(()) } else { Err(verdicts) }
        }
    }

    fn key(rule: &Rule, call: &Call) -> String {
        let mut key = rule.name.clone();
        for part in &rule.parts {
            let value = match part {
                Part::Tenant => Some(call.tenant()),
                Part::Server => Some(call.server()),
                Part::Team => call.team(),
                Part::Subject => call.subject(),
                Part::Session => call.session(),
                Part::Peer => Some(call.peer()),
                Part::Method => call.method(),
                Part::Target => call.target(),
            };
            key.push_str(&match value {
                Some(value) => format!("/{}:{value}", value.len()),
                None => "/-".to_owned(),
            });
        }
        key
    }
}

pub(crate) mod jwt {
    use std::cell::RefCell;

    use crate::Call;

    /// What tokens are held against, and the token that was checked last.
    #[derive(Debug)]
    pub(crate) struct Verifier {
        issuers: Vec<String>,
        audiences: Vec<String>,
        last: RefCell<Option<(u64, String)>>,
    }

    impl Verifier {
        pub(crate) fn new(issuers: &[String], audiences: &[String]) -> Self {
            Self {
                issuers: issuers.to_vec(),
                audiences: audiences.to_vec(),
                last: RefCell::default(),
            }
        }

        pub(crate) fn bearer(&self, call: &Call) -> Result<Option<u64>, String> {
            match call.bearer_token().filter(|token| is_jwt(token)) {
                Some(token) => self.verify(&token).map(Some),
                None => Ok(None),
            }
        }

        pub(crate) fn verify(&self, token: &str) -> Result<u64, String> {
            if !is_jwt(token) {
                return Err("malformed".to_owned());
            }
            let (issuers, audiences) = (&self.issuers, &self.audiences);
            let (number, claims) = super::super::host().jwt_verify(token, issuers, audiences)?;
            self.last.replace(Some((number, claims)));
            Ok(number)
        }

        pub(crate) fn claims(&self, token: u64) -> Option<String> {
            let last = self.last.borrow();
            let (_, claims) = last.as_ref().filter(|(number, _)| *number == token)?;
            Some(claims.clone())
        }
    }

    /// Three parts of base64url with dots between; the last, the signature, may be empty.
    fn is_jwt(token: &str) -> bool {
        let mut parts = 0;
        for part in token.split('.') {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            parts += 1;
            if (part.is_empty() && parts < 3) || !part.bytes().all(known) {
                return false;
            }
        }
        parts == 3
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn tokens_have_a_shape() {
            let cases = [
                ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln", true),
                ("a.b.c", true),
                ("a.b.", true),
                ("a..c", false),
                (".b.c", false),
                ("a.b", false),
                ("a.b.c.d", false),
                ("a.b.c=", false),
                ("", false),
            ];
            for (token, want) in cases {
                assert_eq!(super::is_jwt(token), want, "{token}");
            }
        }
    }
}

pub(crate) mod keys {
    pub(crate) fn lookup(presented: &str) -> Option<crate::Identity> {
        super::super::host().key_lookup(presented)
    }
}

pub(crate) mod state {
    pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
        super::super::host().state_get(key)
    }

    pub(crate) fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
        super::super::host().state_set(key, value, ttl_ms)
    }

    pub(crate) fn delete(key: &str) {
        super::super::host().state_delete(key);
    }
}

pub(crate) mod metrics {
    pub(crate) fn count(name: &str, value: u64, labels: &[(String, String)]) {
        super::super::host().metrics_count(name, value, labels);
    }

    pub(crate) fn observe(name: &str, value: f64, labels: &[(String, String)]) {
        super::super::host().metrics_observe(name, value, labels);
    }
}

pub(crate) mod random {
    pub(crate) fn bytes(len: u32) -> Vec<u8> {
        super::super::host().random_bytes(len)
    }
}

pub(crate) mod http {
    use crate::http::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        super::super::host().http_send(request)
    }
}

pub(crate) mod fs {
    use crate::fs::{Entry, Error};

    pub(crate) fn read(path: &str) -> Result<Vec<u8>, Error> {
        super::super::host().fs_read(path)
    }

    pub(crate) fn write(path: &str, data: &[u8]) -> Result<(), Error> {
        super::super::host().fs_write(path, data)
    }

    pub(crate) fn remove(path: &str) -> Result<(), Error> {
        super::super::host().fs_remove(path)
    }

    pub(crate) fn entries(path: &str) -> Result<Vec<Entry>, Error> {
        super::super::host().fs_entries(path)
    }
}
