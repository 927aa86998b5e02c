//! Patterns over names: tools, methods, servers.

use serde::{Deserialize, Deserializer};

/// A pattern in which `*` stands for any run of characters, and everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes every text as a pattern.
    pub fn new(pattern: impl Into<Box<str>>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits. Time is bounded by the product of the two lengths.
    pub fn matches(&self, text: &str) -> bool {
        // Most patterns are names; and `*` fits itself too.
        if &*self.0 == text {
            return true;
        }
        let Some((head, rest)) = self.0.split_once('*') else {
            return false;
        };
        let Some(mut text) = text.strip_prefix(head) else {
            return false;
        };
        let Some((middle, tail)) = rest.rsplit_once('*') else {
            return text.ends_with(rest);
        };
        // The leftmost place of every piece leaves the most room for those after it.
        for piece in middle.split('*') {
            let Some((_, after)) = text.split_once(piece) else {
                return false;
            };
            text = after;
        }
        text.ends_with(tail)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn matches_whole_names() {
        let cases = [
            ("search", "search", true),
            ("search", "search_all", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("db_*", "db_read", true),
            ("db_*", "db_", true),
            ("db_*", "adb_read", false),
            ("*_read", "db_read", true),
            ("*_read", "db_read_all", false),
            ("db_*_read", "db_x_read", true),
            ("db_*_read", "db_read", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a--b--b--c", true),
            ("a*b*c", "acb", false),
            ("aba*aba", "aba", false),
            ("**", "x", true),
            ("*é*", "café au lait", true),
            ("tools/*", "tools/call", true),
            ("a.c", "abc", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(Glob::new(pattern).matches(text), want, "{pattern} {text}");
        }
    }
}
