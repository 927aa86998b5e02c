//! What is wrong with the settings, and where: a file and line, a variable, or a key.

use std::path::PathBuf;

use thiserror::Error;

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML, or a key or value in it is not one of ours.
    #[error("{}:{line}: {message}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The key path, what is wrong, and the nearest known key.
        message: String,
    },
    /// A variable's value does not fit its setting.
    #[error("{variable}: {message}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong.
        message: String,
    },
    /// A value is out of its range, or contradicts another.
    #[error("{place}{key}: {message}")]
    Invalid {
        /// `file:line: ` when the key stands in a file.
        place: String,
        /// Key path.
        key: String,
        /// What is wrong, and what is possible.
        message: String,
    },
    /// The kept admin token could not be read or made.
    #[error("the admin token in {} cannot be used: {source}. Remove the file to get a new token, or set admin_token", .path.display())]
    AdminToken {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The candidate that `word` was probably meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILARITY_MIN: f64 = 0.75;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Rewrites serde's messages for people: words of theirs for Rust's, and the nearest known name for an unknown one.
#[must_use]
pub fn explain(message: &str) -> String {
    let unknown_key = message
        .strip_prefix("unknown field ")
        .map(|rest| ("unknown key", rest));
    let unknown_value = message
        .strip_prefix("unknown variant ")
        .map(|rest| ("unknown value", rest));
    let Some((what, rest)) = unknown_key.or(unknown_value) else {
        return in_plain_words(message);
    };
    // serde's form: `word`, expected one of `a`, `b`
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("{what} `{word}`: did you mean `{near}`?"),
        None if known.is_empty() => format!("{what} `{word}`"),
        None => format!("{what} `{word}`: use one of {}", known.join(", ")),
    }
}

/// What types expect, in the words of a document's author.
fn in_plain_words(message: &str) -> String {
    if message == "invalid socket address syntax" {
        return "this is not an address and port: write it as 127.0.0.1:4444".to_owned();
    }
    if let Some(key) = message.strip_prefix("duplicate field ") {
        return format!("the key {key} is given twice");
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u64" | "u32" | "usize" => "a whole number",
        "a YAML tag starting with '!'" => "a word",
        "a sequence" => "a list",
        struct_name if struct_name.starts_with("struct ") => "keys and values",
        other => other,
    };
    format!("{found}, expected {expected}")
}
