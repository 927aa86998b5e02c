//! Documents that hold secrets: how they are stored, and how a `PUT` of what a `GET` showed keeps them.
//!
//! `Serialize` always redacts. Only [`to_stored`] writes secrets out, for the store and for nothing else.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::{AuthSpec, IssuerSpec, Secret, ServerSpec, UpstreamSpec};

/// What `GET` shows in place of a secret.
pub const REDACTED: &str = "***";

/// A document with secrets at known places.
pub trait HoldsSecrets: Clone + Serialize {
    /// Every secret of the document, by its JSON Pointer (RFC 6901).
    fn secrets_mut(&mut self) -> BTreeMap<String, &mut Secret>;
}

/// A document was sent with `***` where there is no earlier value to keep.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`***` keeps the value that is stored, and none is stored here: send the secret itself")]
pub struct NothingToKeep {
    /// The secret's place in the document.
    pub pointer: String,
}

/// The document as the store keeps it: JSON with its secrets in the clear.
///
/// # Errors
/// When the document is not representable in JSON.
pub fn to_stored<T: HoldsSecrets>(document: &T) -> Result<Value, serde_json::Error> {
    let mut stored = serde_json::to_value(document)?;
    for (pointer, secret) in document.clone().secrets_mut() {
        if let Some(place) = stored.pointer_mut(&pointer) {
            *place = Value::String(secret.expose().to_owned());
        }
    }
    Ok(stored)
}

/// Replaces every `***` in `document` with the secret at the same place of `earlier`.
///
/// # Errors
/// [`NothingToKeep`], when there is none.
pub fn keep_redacted<T: HoldsSecrets>(
    document: &mut T,
    earlier: Option<&T>,
) -> Result<(), NothingToKeep> {
    let mut earlier = earlier.cloned();
    let kept = earlier
        .as_mut()
        .map(HoldsSecrets::secrets_mut)
        .unwrap_or_default();
    for (pointer, secret) in document.secrets_mut() {
        if secret.expose() == REDACTED {
            match kept.get(&pointer) {
                Some(value) => *secret = Secret::new(value.expose()),
                None => return Err(NothingToKeep { pointer }),
            }
        }
    }
    Ok(())
}

/// One segment of a JSON Pointer, escaped (RFC 6901, section 3).
#[must_use]
pub fn pointer_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl HoldsSecrets for UpstreamSpec {
    fn secrets_mut(&mut self) -> BTreeMap<String, &mut Secret> {
        let env = self
            .env
            .iter_mut()
            .map(|(name, secret)| (format!("/env/{}", pointer_segment(name)), secret));
        let headers = self
            .headers
            .iter_mut()
            .map(|(name, secret)| (format!("/headers/{}", pointer_segment(name)), secret));
        let client = self.auth.iter_mut().flat_map(|AuthSpec::Oauth(oauth)| {
            let client = &mut oauth.client;
            let secret = client.secret.iter_mut().map(|secret| ("secret", secret));
            secret.chain(
                client
                    .private_key
                    .iter_mut()
                    .map(|key| ("private_key", key)),
            )
        });
        let client = client.map(|(field, secret)| (format!("/auth/oauth/client/{field}"), secret));
        env.chain(headers).chain(client).collect()
    }
}

impl HoldsSecrets for ServerSpec {
    fn secrets_mut(&mut self) -> BTreeMap<String, &mut Secret> {
        BTreeMap::new()
    }
}

impl HoldsSecrets for IssuerSpec {
    fn secrets_mut(&mut self) -> BTreeMap<String, &mut Secret> {
        self.secret
            .iter_mut()
            .map(|secret| ("/secret".to_owned(), secret))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upstream(document: Value) -> UpstreamSpec {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_stored_document_comes_back_with_its_secrets_and_is_shown_without() {
        let document = json!({
            "url": "https://a.example/", "headers": {"x/~y": "s1"}, "env": {"K": "s2"}, "timeout_ms": 5,
            "auth": {"oauth": {"grant": "client-credentials", "client": {"id": "c", "secret": "s3", "private_key": "s4"}}},
        });
        let spec = upstream(document.clone());
        let stored = to_stored(&spec).unwrap();
        assert_eq!(stored, document);
        assert_eq!(upstream(stored), spec);
        let shown = serde_json::to_string(&spec).unwrap();
        for secret in ["s1", "s2", "s3", "s4"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn what_get_showed_can_be_put_back() {
        let earlier =
            upstream(json!({"url": "https://a.example/", "headers": {"x-a": "s1", "x-b": "s2"}}));
        let mut edited =
            upstream(json!({"url": "https://b.example/", "headers": {"x-a": "***", "x-b": "new"}}));
        keep_redacted(&mut edited, Some(&earlier)).unwrap();
        assert_eq!(edited.headers["x-a"].expose(), "s1");
        assert_eq!(edited.headers["x-b"].expose(), "new");

        let mut unknown = upstream(json!({"url": "https://b.example/", "headers": {"x/c": "***"}}));
        assert_eq!(
            keep_redacted(&mut unknown, Some(&earlier))
                .unwrap_err()
                .pointer,
            "/headers/x~1c"
        );
        assert_eq!(
            keep_redacted(&mut unknown, None).unwrap_err().pointer,
            "/headers/x~1c"
        );
    }
}
