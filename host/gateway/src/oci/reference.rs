//! `oci://registry/repository@sha256:…`: the one form of reference that always means the same bytes.

use std::fmt;
use std::str::FromStr;

use portcullis_sandbox::Digest;
use thiserror::Error;
use url::Url;

const SCHEME: &str = "oci://";
/// Longest repository name that registries take.
const REPOSITORY_LEN_MAX: usize = 255;
const FORM: &str = "oci://registry/repository@sha256:<64 hex digits>";

/// A manifest in a repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciReference {
    /// Host, and port where it is not the usual one, in lower case.
    pub registry: String,
    /// Path in the registry.
    pub repository: String,
    /// Digest of the manifest.
    pub digest: Digest,
}

/// Text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidReference {
    /// No digest, perhaps a tag.
    #[error(
        "`{0}` has no digest: a tag can be moved to other bytes, so write {FORM}; `crane digest` and `oras resolve` tell it"
    )]
    NoDigest(String),
    /// Anything else.
    #[error("`{0}` is no reference to a component: write {FORM}")]
    Form(String),
}

impl FromStr for OciReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let shown = || text.chars().take(200).collect::<String>();
        let form = || InvalidReference::Form(shown());
        let rest = text.strip_prefix(SCHEME).ok_or_else(form)?;
        let (registry, path) = rest.split_once('/').ok_or_else(form)?;
        let Some((repository, digest)) = path.split_once('@') else {
            return Err(InvalidReference::NoDigest(shown()));
        };
        let digest = digest.parse().map_err(|_invalid| form())?;
        if !is_host(registry) || !is_repository(repository) {
            return Err(form());
        }
        Ok(Self {
            registry: registry.to_ascii_lowercase(),
            repository: repository.to_owned(),
            digest,
        })
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            digest,
        } = self;
        write!(f, "{SCHEME}{registry}/{repository}@{digest}")
    }
}

/// A host that URLs may have, with or without a port, and nothing more.
fn is_host(text: &str) -> bool {
    let url = Url::parse(&format!("https://{text}/")).ok();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    plain && url.is_some_and(|url| url.host().is_some())
}

/// The grammar of the specification ("Pulling manifests"): words of a-z and 0-9, with separators between them.
fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_LEN_MAX && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().zip(text.bytes().last());
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends.is_some_and(|(first, last)| is_word(first) && is_word(last))
        && separators
            .filter(|separator| !separator.is_empty())
            .all(|separator| {
                matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_registry_a_repository_and_a_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (before, good) in [
            ("oci://ghcr.io/acme/rate-limit", true),
            ("oci://127.0.0.1:5000/a", true),
            ("oci://[::1]:5000/a/b__c/d.e/f--g_h", true),
            ("ghcr.io/acme/rate-limit", false),
            ("https://ghcr.io/acme/rate-limit", false),
            ("oci://acme", false),
            ("oci:///acme", false),
            ("oci://ghcr.io/", false),
            ("oci://ghcr.io/Acme", false),
            ("oci://ghcr.io/a//b", false),
            ("oci://ghcr.io/../secrets", false),
            ("oci://ghcr.io/a..b", false),
            ("oci://ghcr.io/a-", false),
            ("oci://ghcr.io/a?b", false),
            ("oci://me:pw@ghcr.io/a", false),
            ("oci://ghcr.io:port/a", false),
            ("oci://ghcr.io/a:1.0", false),
        ] {
            let text = format!("{before}@{digest}");
            let read = text.parse::<OciReference>();
            assert_eq!(read.is_ok(), good, "{text}: {read:?}");
            if let Ok(read) = read {
                assert_eq!(read.to_string(), text);
            }
        }
        let long = format!("oci://ghcr.io/{}@{digest}", "a".repeat(256));
        assert!(long.parse::<OciReference>().is_err());
    }

    #[test]
    fn a_tag_is_refused_for_what_it_is() {
        for text in ["oci://ghcr.io/a", "oci://ghcr.io/a:latest"] {
            let refused = text.parse::<OciReference>().unwrap_err();
            assert!(matches!(refused, InvalidReference::NoDigest(_)), "{text}");
        }
        for digest in ["sha512:00", "sha256:00", "latest"] {
            let text = format!("oci://ghcr.io/a@{digest}");
            let refused = text.parse::<OciReference>().unwrap_err();
            assert!(matches!(refused, InvalidReference::Form(_)), "{text}");
        }
    }
}
