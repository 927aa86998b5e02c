//! URI templates (RFC 6570), read backwards: whether a URI could have been made of one.
//!
//! The router asks, to find the upstream of a resource that nobody lists. A value that is expanded simply holds no
//! reserved characters (section 3.2.2); the other operators may add any. More than the truth is matched where a
//! template is odd, never less: the upstream has the last word.

/// A run of a template.
enum Part<'a> {
    /// Stands in the URI as it is.
    Literal(&'a str),
    /// `{name}`: one value, of unreserved characters and escapes.
    Simple,
    /// An expression with an operator: anything, or nothing.
    Open,
}

/// Whether `uri` could be an expansion of `template`.
#[must_use]
pub fn matches(template: &str, uri: &str) -> bool {
    let bytes = uri.as_bytes();
    // Where the template so far may end in the URI.
    let mut ends = vec![false; bytes.len() + 1];
    if let Some(start) = ends.first_mut() {
        *start = true;
    }
    for part in parts(template) {
        ends = after(&part, uri, &ends);
    }
    ends.last().copied().unwrap_or_default()
}

fn after(part: &Part<'_>, uri: &str, before: &[bool]) -> Vec<bool> {
    let bytes = uri.as_bytes();
    let mut ends = vec![false; before.len()];
    let mut is_open = false;
    for (at, starts) in before.iter().enumerate() {
        match part {
            Part::Literal(text) => {
                let fits = *starts
                    && bytes
                        .get(at..)
                        .is_some_and(|rest| rest.starts_with(text.as_bytes()));
                if let Some(end) = ends.get_mut(at + text.len()).filter(|_| fits) {
                    *end = true;
                }
                continue;
            }
            Part::Open => is_open |= *starts,
            Part::Simple => {
                // A value that began before goes on through this byte, or one begins after it.
                let reaches = at.checked_sub(1).and_then(|last| bytes.get(last));
                is_open = is_open && reaches.copied().is_some_and(is_plain);
            }
        }
        if let Some(end) = ends.get_mut(at) {
            *end = is_open;
        }
        if matches!(part, Part::Simple) {
            is_open |= *starts;
        }
    }
    ends
}

/// Unreserved, a percent sign, or part of a character that clients forget to escape.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-._~%,".contains(&byte)
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, expression)) = rest.split_once('{') {
        let Some((expression, after)) = expression.split_once('}') else {
            break;
        };
        parts.push(Part::Literal(literal));
        let is_simple = expression
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_' || first == b'%');
        parts.push(if is_simple { Part::Simple } else { Part::Open });
        rest = after;
    }
    parts.push(Part::Literal(rest));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris_are_told_by_their_templates() {
        for (template, uri, want) in [
            ("test://static", "test://static", true),
            ("test://static", "test://static/", false),
            (
                "test://template/{id}/data",
                "test://template/123/data",
                true,
            ),
            ("test://template/{id}/data", "test://template//data", false),
            (
                "test://template/{id}/data",
                "test://template/1/2/data",
                false,
            ),
            (
                "test://template/{id}/data",
                "test://template/1/data/",
                false,
            ),
            ("test://{a}/{b}", "test://x/%2F", true),
            ("test://{a}-{b}", "test://x-y-z", true),
            ("file:///{+path}", "file:///etc/hosts", true),
            ("file://{/path*}", "file:///etc/hosts", true),
            ("search{?q,lang}", "search?q=a&lang=b", true),
            ("search{?q,lang}", "search", true),
            ("search{?q,lang}", "find?q=a", false),
            ("caf\u{e9}/{x}", "caf\u{e9}/\u{e9}", true),
            ("{x", "{x", true),
            ("{}", "anything", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(template, uri), want, "{template} {uri}");
        }
    }

    proptest! {
        #[test]
        fn what_a_template_expands_to_matches_it(
            literals in prop::collection::vec("[a-z:/]{0,6}", 1..5),
            values in prop::collection::vec("[a-zA-Z0-9~_.-]{1,8}", 5),
        ) {
            let template = literals.join("{v}");
            let mut uri = String::new();
            for (at, literal) in literals.iter().enumerate() {
                if at > 0 {
                    uri.push_str(&values[at]);
                }
                uri.push_str(literal);
            }
            prop_assert!(matches(&template, &uri), "{template} {uri}");
        }

        #[test]
        fn nothing_makes_it_panic(template in "\\PC{0,40}", uri in "\\PC{0,40}") {
            let _ = matches(&template, &uri);
        }
    }
}
