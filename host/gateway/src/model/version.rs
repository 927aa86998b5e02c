//! The order of a plugin's versions: semantic precedence, so that 1.10.0 is newer than 1.9.0.

use std::cmp::Ordering;

use semver::Version;

/// Compares two versions (Semantic Versioning 2.0.0, section 11). What is no version is older than all that are. Total:
/// only equal texts are equal, so that a cursor has one place.
#[must_use]
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    // `None` is less than any version.
    let parsed = |text| Version::parse(text).ok();
    parsed(one).cmp(&parsed(other)).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::compare_versions;

    #[test]
    fn versions_are_ordered_by_precedence() {
        let ordered = [
            "0.0.x",
            "1.0",
            "0.9.0",
            "1.0.0-alpha",
            "1.0.0-alpha.2",
            "1.0.0-alpha.10",
            "1.0.0-beta",
            "1.0.0",
            "1.0.0+build.2",
            "1.9.0",
            "1.10.0",
            "10.0.0",
        ];
        for (at, one) in ordered.iter().enumerate() {
            for (other_at, other) in ordered.iter().enumerate() {
                let want = at.cmp(&other_at);
                assert_eq!(compare_versions(one, other), want, "{one} {other}");
            }
        }
    }
}
