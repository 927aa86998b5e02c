//! Whose response a line is of which only the ends are left: it was longer than may be held.
//!
//! Read by `inbound`, so that the call does not wait for what will not come. What cannot be told for sure is not told.

/// The id of the response, as JSON text; ids are the gateway's own numbers.
pub(super) fn id<'a>(head: &'a [u8], tail: &'a [u8]) -> Option<&'a str> {
    before_result(head).or_else(|| at_the_end(tail))
}

/// Where the result, which is what is long, comes after the id.
fn before_result(head: &[u8]) -> Option<&str> {
    let head = whole_characters(head);
    let (before, _) = head.split_once("\"result\"")?;
    let (_, after) = before.split_once("\"id\"")?;
    number(after).map(|(id, _)| id)
}

/// Where it came before: nothing may follow but what every message has.
fn at_the_end(tail: &[u8]) -> Option<&str> {
    // A character that is cut apart can only be the first.
    let start = tail.iter().position(u8::is_ascii)?;
    let tail = std::str::from_utf8(tail.get(start..)?).ok()?;
    let (_, after) = tail.rsplit_once("\"id\"")?;
    let (id, rest) = number(after)?;
    let rest: String = rest.split_whitespace().collect();
    matches!(&*rest, "}" | r#","jsonrpc":"2.0"}"#).then_some(id)
}

/// The number that a member's value is, and what comes after it.
fn number(after_key: &str) -> Option<(&str, &str)> {
    let value = after_key.trim_start().strip_prefix(':')?.trim_start();
    let end = value.find(|c: char| !c.is_ascii_digit())?;
    let (id, rest) = value.split_at_checked(end)?;
    (!id.is_empty()).then_some((id, rest))
}

/// As much of it as is text.
fn whole_characters(head: &[u8]) -> &str {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    let valid = head.get(..valid).unwrap_or_default();
    std::str::from_utf8(valid).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_known_by_either_end() {
        for (head, tail, want) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a"#, "xxx", Some("7")),
            (
                r#"{ "id" : 7 , "result" : {"id":8"#,
                r#""id":9}}"#,
                Some("7"),
            ),
            (
                r#"{"result":{"a"#,
                r#"x"},"jsonrpc":"2.0","id":12}"#,
                Some("12"),
            ),
            (
                r#"{"result":{"a"#,
                "é\"},\"id\": 12 , \"jsonrpc\": \"2.0\" }\r",
                Some("12"),
            ),
            // The id of something in the result, or of a request.
            (r#"{"result":{"a"#, r#"x","id":12}}"#, None),
            (r#"{"result":{"a"#, r#"{"id":12}],"jsonrpc":"2.0"}"#, None),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"#,
                "}}",
                None,
            ),
            (r#"{"result":{"a"#, r#""id":"12"}"#, None),
            ("", "", None),
        ] {
            assert_eq!(id(head.as_bytes(), tail.as_bytes()), want, "{head} {tail}");
        }
        let cut = &"é\",\"id\":3}".as_bytes()[1..];
        assert_eq!(id(b"{\"result\":\"\xc3", cut), Some("3"));
    }
}
