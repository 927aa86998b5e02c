//! Guests' names made into names of the text format: letters, digits and underscores, under a prefix of the guests'.

use super::family::Kind;

const PREFIX: &str = "portcullis_guest_";
const SUFFIX: &str = "_total";
/// A guest's name, without prefix and suffix.
const NAME_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 8;
/// Longer values are cut.
const VALUE_BYTES_MAX: usize = 128;

/// The metric's full name. None for one that is empty or too long.
///
/// Counters always end in `_total` and histograms never do, so that two plugins which give one name to different
/// kinds do not meet.
pub(super) fn metric(name: &str, kind: Kind) -> Option<String> {
    let name = name.strip_suffix(SUFFIX).unwrap_or(name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut full = String::with_capacity(PREFIX.len() + name.len() + SUFFIX.len());
    full.push_str(PREFIX);
    full.extend(name.chars().map(plain));
    match kind {
        Kind::Counter => full.push_str(SUFFIX),
        Kind::Histogram => {}
    }
    Some(full)
}

/// A sample's labels, by name.
pub(super) struct Labels<'a> {
    pairs: Vec<(String, &'a str)>,
}

impl<'a> Labels<'a> {
    /// None for too many labels, or two with one name.
    pub(super) fn new(labels: &'a [(String, String)]) -> Option<Self> {
        if labels.len() > LABELS_MAX {
            return None;
        }
        let mut pairs: Vec<_> = labels
            .iter()
            .map(|(name, value)| (label(name), cut(value)))
            .collect();
        pairs.sort_unstable();
        let twice = pairs
            .iter()
            .zip(pairs.iter().skip(1))
            .any(|((name, _), (next, _))| name == next);
        (!twice).then_some(Self { pairs })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().map(|(_, value)| *value)
    }
}

/// A label's name. The host's own ones, and those that the text format reserves, get a prefix.
fn label(name: &str) -> String {
    let name: String = name.chars().take(NAME_BYTES_MAX).map(plain).collect();
    let reserved = matches!(name.as_str(), "" | "tenant" | "plugin" | "le" | "quantile")
        || name.starts_with("__")
        || name.starts_with(|c: char| c.is_ascii_digit());
    if reserved {
        format!("guest_{name}")
    } else {
        name
    }
}

fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() { c } else { '_' }
}

fn cut(value: &str) -> &str {
    value
        .get(..value.floor_char_boundary(VALUE_BYTES_MAX))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_text_format() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let cases = [
            ("hits", Kind::Counter, Some("portcullis_guest_hits_total")),
            (
                "hits_total",
                Kind::Counter,
                Some("portcullis_guest_hits_total"),
            ),
            ("hits_total", Kind::Histogram, Some("portcullis_guest_hits")),
            ("a.b-c/é", Kind::Histogram, Some("portcullis_guest_a_b_c__")),
            ("", Kind::Counter, None),
            ("_total", Kind::Counter, None),
            (long.as_str(), Kind::Counter, None),
        ];
        for (name, kind, want) in cases {
            assert_eq!(metric(name, kind).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn labels_never_pass_for_the_hosts() {
        for (name, want) in [
            ("tool", "tool"),
            ("tenant", "guest_tenant"),
            ("plugin", "guest_plugin"),
            ("le", "guest_le"),
            ("__name__", "guest___name__"),
            ("9lives", "guest_9lives"),
            ("", "guest_"),
            ("a b", "a_b"),
        ] {
            assert_eq!(label(name), want, "{name}");
        }
    }

    #[test]
    fn values_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(100)).len(), VALUE_BYTES_MAX);
        assert_eq!(
            cut(&format!("x{}", "é".repeat(100))).len(),
            VALUE_BYTES_MAX - 1
        );
    }
}
