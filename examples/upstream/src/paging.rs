//! Lists in pages, and how long a stateless client may keep one.
//!
//! Used by `server` for every list. A cursor names an offset; it is checked, never trusted.

use std::num::NonZeroUsize;

use rmcp::{
    ErrorData, RoleServer,
    model::{CacheScope, PaginatedRequestParams},
    service::RequestContext,
};

use crate::server::is_stateless;

const CURSOR_PREFIX: &str = "offset-";

/// Cuts the page that `request` asks for out of `items`, and names the next one.
///
/// # Errors
///
/// -32602 for a cursor that this server did not hand out.
pub fn page<T>(
    mut items: Vec<T>,
    request: Option<&PaginatedRequestParams>,
    page_len: Option<NonZeroUsize>,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let start = match request.and_then(|request| request.cursor.as_deref()) {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix(CURSOR_PREFIX)
            .and_then(|offset| offset.parse::<usize>().ok())
            .filter(|offset| *offset < items.len())
            .ok_or_else(|| ErrorData::invalid_params("unknown cursor", None))?,
    };
    let mut rest = items.split_off(start);
    let Some(page_len) = page_len
        .map(NonZeroUsize::get)
        .filter(|page_len| rest.len() > *page_len)
    else {
        return Ok((rest, None));
    };
    rest.truncate(page_len);
    Ok((rest, Some(format!("{CURSOR_PREFIX}{}", start + page_len))))
}

/// The caching hints of a result; older revisions know none.
pub struct Freshness {
    pub ttl_ms: Option<u64>,
    pub cache_scope: Option<CacheScope>,
}

impl Freshness {
    /// Hints for the stateless era, none for the session era.
    pub fn of(context: &RequestContext<RoleServer>, ttl_ms: u64, cache_scope: CacheScope) -> Self {
        if is_stateless(context) {
            Self {
                ttl_ms: Some(ttl_ms),
                cache_scope: Some(cache_scope),
            }
        } else {
            Self {
                ttl_ms: None,
                cache_scope: None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let len = NonZeroUsize::new(2);
        let (first, cursor) = page(vec![1, 2, 3], None, len).unwrap();
        let request = PaginatedRequestParams::default().with_cursor(cursor);
        let (second, end) = page(vec![1, 2, 3], Some(&request), len).unwrap();
        assert_eq!((first, second, end), (vec![1, 2], vec![3], None));
    }

    #[test]
    fn a_cursor_of_another_server_is_refused() {
        for cursor in [
            "",
            "2",
            "offset-",
            "offset-3",
            "offset-99999999999999999999",
        ] {
            let request = PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned()));
            assert!(
                page(vec![1, 2, 3], Some(&request), None).is_err(),
                "{cursor:?}"
            );
        }
    }
}
