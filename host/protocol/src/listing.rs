//! Lists that the gateway merges: tools, prompts, resources and resource templates.
//!
//! The router reads upstream pages with [`parse`], keeps the entries as text, renames them, and writes pages for
//! clients with [`assemble`]. Entries are never rebuilt: a title, an icon or a schema keyword that the gateway has
//! never heard of arrives as it was sent.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::splice::{self, SpliceError};
use crate::text;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [ListKind; 4] = [
        ListKind::Tools,
        ListKind::Prompts,
        ListKind::Resources,
        ListKind::ResourceTemplates,
    ];

    /// The kind that a method lists.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        ListKind::ALL
            .into_iter()
            .find(|kind| kind.method() == method)
    }

    /// The method that lists it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            ListKind::Tools => "tools/list",
            ListKind::Prompts => "prompts/list",
            ListKind::Resources => "resources/list",
            ListKind::ResourceTemplates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the entries.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources => "resources",
            ListKind::ResourceTemplates => "resourceTemplates",
        }
    }

    /// The member of an entry that callers address it by.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            ListKind::Tools | ListKind::Prompts => "name",
            ListKind::Resources => "uri",
            ListKind::ResourceTemplates => "uriTemplate",
        }
    }
}

/// Who may reuse a cached result (2026-07-28). The order is from wide to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheScope {
    /// Anyone.
    Public,
    /// The same authorization context only.
    Private,
}

impl CacheScope {
    /// The scope's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CacheScope::Public => "public",
            CacheScope::Private => "private",
        }
    }
}

/// How long, and by whom, a result may be reused (2026-07-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheHint {
    /// Milliseconds for which the result is fresh; 0 forbids reuse.
    pub ttl_ms: u64,
    /// Who may reuse it.
    pub scope: CacheScope,
}

impl CacheHint {
    /// Not to be reused at all: what a result means that says nothing.
    pub const NONE: CacheHint = CacheHint {
        ttl_ms: 0,
        scope: CacheScope::Private,
    };

    /// No bound at all: where [`CacheHint::and`] begins.
    pub const UNBOUND: CacheHint = CacheHint {
        ttl_ms: u64::MAX,
        scope: CacheScope::Public,
    };

    /// What holds for a result made of both: the shorter time and the stricter scope.
    #[must_use]
    pub fn and(self, other: CacheHint) -> CacheHint {
        CacheHint {
            ttl_ms: self.ttl_ms.min(other.ttl_ms),
            scope: self.scope.max(other.scope),
        }
    }

    /// Reads `ttlMs` and `cacheScope` of a result. What is absent or odd counts as [`CacheHint::NONE`].
    #[must_use]
    pub fn of(result_raw: &str) -> CacheHint {
        let ttl_ms = splice::get_member(result_raw, "ttlMs").and_then(|raw| raw.parse().ok());
        let public = splice::get_member(result_raw, "cacheScope")
            .and_then(text::string)
            .as_deref()
            == Some("public");
        CacheHint {
            ttl_ms: ttl_ms.unwrap_or(CacheHint::NONE.ttl_ms),
            scope: if public {
                CacheScope::Public
            } else {
                CacheScope::Private
            },
        }
    }
}

/// One tool, prompt, resource or template.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What callers address it by: its name, URI or URI template.
    pub name: String,
    /// The entry as its upstream wrote it.
    pub raw: Box<RawValue>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the upstream's order.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `""` is a cursor like any other.
    pub next_cursor: Option<String>,
    /// How long the page may be reused.
    pub cache: CacheHint,
    /// Entries left out because nothing addresses them.
    pub skipped_len: usize,
}

/// Why a list result cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// The result is not an object, or lacks the array of entries.
    #[error("the result has no array `{member}`")]
    NoEntries {
        /// Where it should be.
        member: &'static str,
    },
    /// The page holds more entries than allowed.
    #[error("the result lists more than {entries_len_max} entries")]
    TooMany {
        /// The most entries that one page may hold.
        entries_len_max: usize,
    },
}

/// Reads a list result of at most `entries_len_max` entries.
///
/// # Errors
/// When the result is not a list of this kind, or too long.
pub fn parse(
    kind: ListKind,
    result_raw: &str,
    entries_len_max: usize,
) -> Result<Page, ListingError> {
    let no_entries = || ListingError::NoEntries {
        member: kind.member(),
    };
    let array = splice::get_member(result_raw, kind.member()).ok_or_else(no_entries)?;
    let Ok(found) = text::checked_elements(array, entries_len_max) else {
        return Err(no_entries());
    };
    let found = found.ok_or(ListingError::TooMany { entries_len_max })?;
    let entries: Vec<Entry> = found
        .iter()
        .filter_map(|raw| {
            let name = text::string(splice::get_member(raw.get(), kind.key())?)?.into_owned();
            Some(Entry {
                name,
                raw: (*raw).to_owned(),
            })
        })
        .collect();
    let skipped_len = found.len() - entries.len();
    let next_cursor = splice::get_member(result_raw, "nextCursor")
        .and_then(text::string)
        .map(Cow::into_owned);
    Ok(Page {
        entries,
        next_cursor,
        cache: CacheHint::of(result_raw),
        skipped_len,
    })
}

/// The entry under another name; nothing else about it changes.
///
/// # Errors
/// When the entry is not a JSON object.
pub fn rename(kind: ListKind, entry: &Entry, name: &str) -> Result<Entry, SpliceError> {
    let renamed = splice::set_member(entry.raw.get(), kind.key(), &text::quote(name))?;
    let raw = RawValue::from_string(renamed).map_err(|_source| SpliceError::NotAnObject {
        path: String::new(),
    })?;
    Ok(Entry {
        name: name.to_owned(),
        raw,
    })
}

/// A list result. With a cache hint it is one for stateless clients: `resultType`, `ttlMs` and `cacheScope` are added.
#[must_use]
pub fn assemble<'a>(
    kind: ListKind,
    entries: impl Iterator<Item = &'a RawValue> + Clone,
    next_cursor: Option<&str>,
    cache: Option<CacheHint>,
) -> String {
    let entries_bytes: usize = entries.clone().map(|entry| entry.get().len() + 1).sum();
    let mut out = String::with_capacity(128 + entries_bytes + next_cursor.map_or(0, str::len));
    out.push_str(r#"{""#);
    out.push_str(kind.member());
    out.push_str(r#"":["#);
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(entry.get());
    }
    out.push(']');
    if let Some(cursor) = next_cursor {
        out.push_str(r#","nextCursor":"#);
        out.push_str(&text::quote(cursor));
    }
    if let Some(CacheHint { ttl_ms, scope }) = cache {
        let scope = scope.as_str();
        out.push_str(&format!(
            r#","resultType":"complete","ttlMs":{ttl_ms},"cacheScope":"{scope}""#
        ));
    }
    out.push('}');
    out
}

/// Whether a tool's name is one that every revision and client takes: 1 to 128 of `[A-Za-z0-9_.-]`.
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
