//! Recognises callers by API keys.
//!
//! Before it: the listener. After it: admission, which counts and permits by the identity found here.
//! It never sees a stored key: the host compares hashes and answers with the identity.

use portcullis_sdk::{Call, Caller, Denial, Manifest, Policy, config, keys};
use serde::Deserialize;

/// The policy, as configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyAuth {
    #[serde(default = "default_headers")]
    headers: Vec<String>,
    #[serde(default = "default_bearer")]
    bearer: bool,
    #[serde(default = "default_prefix")]
    prefix: String,
}

fn default_headers() -> Vec<String> {
    vec!["x-api-key".to_owned()]
}

fn default_bearer() -> bool {
    true
}

fn default_prefix() -> String {
    "pk_".to_owned()
}

impl ApiKeyAuth {
    /// The key that the call presents, if it presents one.
    fn presented(&self, call: &Call) -> Option<String> {
        for name in &self.headers {
            if let Some(value) = call.header(name) {
                return Some(value);
            }
        }
        if !self.bearer {
            return None;
        }
        call.bearer_token()
            .filter(|token| token.starts_with(&self.prefix))
    }
}

impl Policy for ApiKeyAuth {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let policy: Self = config::parse(text)?;
        if policy.prefix.is_empty() {
            return Err(
                "prefix: must not be empty, or every bearer token would be a key".to_owned(),
            );
        }
        if policy.headers.is_empty() && !policy.bearer {
            return Err("headers: without a header, `bearer` must be true".to_owned());
        }
        Ok(policy)
    }

    fn authenticate(&self, call: &Call) -> Result<Option<Caller>, Denial> {
        let Some(key) = self.presented(call) else {
            return Ok(None);
        };
        match keys::lookup(key.trim()) {
            Some(identity) => Ok(Some(identity.into())),
            None => Err(refusal()),
        }
    }
}

/// The same words for an unknown, a revoked and an expired key.
fn refusal() -> Denial {
    let message = "The API key is unknown, revoked or expired.";
    Denial::unauthenticated(message).with_challenge(format!(
        "Bearer error=\"invalid_token\", error_description=\"{message}\""
    ))
}

portcullis_sdk::export!(ApiKeyAuth: authenticate);

#[cfg(test)]
mod tests {
    use portcullis_sdk::Identity;
    use portcullis_sdk::testing::{self, Callers, Host, manifest_problems};

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn verdict(config: &str, headers: Headers<'_>) -> String {
        let _host = Host::new().key("pk_alice", Identity::new("alice").with_team("core"));
        let policy = ApiKeyAuth::configure(config).expect("configuration");
        let mut call = testing::Call::message("tools/list");
        for (name, value) in headers {
            call = call.header(name, value);
        }
        match policy.authenticate(&call.build()) {
            Ok(Some(caller)) => {
                let identity = Callers::default().identity(caller);
                identity.expect("an identity").subject
            }
            Ok(None) => "none".to_owned(),
            Err(denial) => denial.code,
        }
    }

    #[test]
    fn keys_are_recognised() {
        let custom = r#"{"headers": ["x-team-key", "x-key"], "bearer": false}"#;
        let cases: [(&str, Headers, &str); 13] = [
            ("{}", &[], "none"),
            ("{}", &[("X-Api-Key", "pk_alice")], "alice"),
            ("{}", &[("x-api-key", " pk_alice ")], "alice"),
            ("{}", &[("x-api-key", "pk_mallory")], "unauthenticated"),
            ("{}", &[("x-api-key", "")], "unauthenticated"),
            ("{}", &[("authorization", "Bearer pk_alice")], "alice"),
            ("{}", &[("authorization", "bearer pk_alice")], "alice"),
            (
                "{}",
                &[("authorization", "Bearer pk_mallory")],
                "unauthenticated",
            ),
            ("{}", &[("authorization", "Bearer eyJ.eyJ.sig")], "none"),
            ("{}", &[("authorization", "Basic cGtfYWxpY2U=")], "none"),
            (custom, &[("x-key", "pk_alice")], "alice"),
            (custom, &[("x-api-key", "pk_alice")], "none"),
            (custom, &[("authorization", "Bearer pk_alice")], "none"),
        ];
        for (config, headers, want) in cases {
            assert_eq!(verdict(config, headers), want, "{config} {headers:?}");
        }
    }

    #[test]
    fn a_refusal_challenges_and_keeps_the_key_to_itself() {
        let _host = Host::new();
        let policy = ApiKeyAuth::configure("{}").unwrap();
        let call = testing::Call::message("ping")
            .header("x-api-key", "pk_secret")
            .build();
        let denial = policy.authenticate(&call).unwrap_err();
        let challenge = denial.challenge.clone().unwrap();
        assert!(
            challenge.starts_with("Bearer error=\"invalid_token\""),
            "{challenge}"
        );
        assert!(!format!("{denial:?}").contains("secret"));
    }

    #[test]
    fn wrong_configurations_are_named() {
        let cases = [
            (r#"{"header": []}"#, "header: unknown field"),
            (r#"{"headers": [1]}"#, "headers[0]: invalid type"),
            (
                r#"{"headers": [], "bearer": false}"#,
                "headers: without a header",
            ),
            (r#"{"prefix": ""}"#, "prefix: must not be empty"),
        ];
        for (config, want) in cases {
            let error = ApiKeyAuth::configure(config).unwrap_err();
            assert!(error.starts_with(want), "{config}: {error}");
        }
    }

    #[test]
    fn the_manifest_holds() {
        assert_eq!(manifest_problems::<ApiKeyAuth>(), Vec::<String>::new());
    }
}
