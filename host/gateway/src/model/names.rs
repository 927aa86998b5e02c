//! Names of tenants, upstreams, servers and bindings.

use thiserror::Error;

/// A name that cannot be used in paths, tool prefixes and metric labels.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`"
)]
pub struct InvalidName(String);

/// Checks the one form of name that is good in a path, as a prefix of tool names, and as a label.
///
/// # Errors
/// [`InvalidName`], which says the rule.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let starts_with_letter = name.starts_with(|first: char| first.is_ascii_lowercase());
    let all_allowed = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if starts_with_letter && all_allowed && name.len() <= 63 && !name.contains("--") {
        Ok(())
    } else {
        Err(InvalidName(name.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_are_good_in_paths_and_labels() {
        for (name, good) in [
            ("acme", true),
            ("a", true),
            ("a-1", true),
            ("", false),
            ("1a", false),
            ("A", false),
            ("a_b", false),
            ("a--b", false),
            ("a/b", false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
        assert!(check_name(&"a".repeat(64)).is_err());
    }
}
