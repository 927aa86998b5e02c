//! How people and documents name a plugin: by digest, or by `name@version`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A plugin, named by what it is or by how it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginRef {
    /// `sha256:` and 64 lower-case hex digits.
    Digest(String),
    /// `name@version`.
    Published {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
    },
}

/// Text that names no plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` names no plugin: write `name@version`, or `sha256:` and 64 lower-case hex digits")]
pub struct InvalidPluginRef(String);

impl FromStr for PluginRef {
    type Err = InvalidPluginRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPluginRef(text.chars().take(80).collect());
        if let Some(digits) = text.strip_prefix("sha256:") {
            let all_hex = digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            return if digits.len() == 64 && all_hex {
                Ok(Self::Digest(text.to_owned()))
            } else {
                Err(invalid())
            };
        }
        match text.split_once('@') {
            Some((name, version))
                if !name.is_empty() && !version.is_empty() && !version.contains('@') =>
            {
                Ok(Self::Published {
                    name: name.to_owned(),
                    version: version.to_owned(),
                })
            }
            Some(_) | None => Err(invalid()),
        }
    }
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => f.write_str(digest),
            Self::Published { name, version } => write!(f, "{name}@{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PluginRef;

    #[test]
    fn references_are_digests_or_published_names() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, good) in [
            (digest.as_str(), true),
            ("jwt-auth@0.1.0", true),
            ("jwt-auth", false),
            ("@1", false),
            ("a@", false),
            ("a@1@2", false),
            ("sha256:abc", false),
        ] {
            let parsed = text.parse::<PluginRef>();
            assert_eq!(parsed.is_ok(), good, "{text}");
            if let Ok(parsed) = parsed {
                assert_eq!(parsed.to_string(), text);
            }
        }
    }
}
