//! Globs of selectors: `*` stands for any run of characters, everything else for itself.

/// Whether `text` matches `pattern`, in time linear in their product at worst.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(head) = parts.next() else {
        return text.is_empty();
    };
    let Some(mut rest) = text.strip_prefix(head) else {
        return false;
    };
    let Some(tail) = pattern.rsplit('*').next().filter(|_| pattern.contains('*')) else {
        return rest.is_empty();
    };
    let mut middle: Vec<&str> = parts.collect();
    middle.pop();
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(tail)
}

/// Whether an empty list, or one of its globs, matches.
#[must_use]
pub fn any_matches(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_run() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*ca", "aca", true),
            ("ab*ba", "aba", false),
            ("*b*", "abc", true),
            ("*x*", "abc", false),
            ("crm__*_customer", "crm__delete_customer", true),
            ("a**b", "ab", true),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }
}
