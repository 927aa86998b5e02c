//! Lists, a page at a time: `limit` and an opaque `cursor`.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 500;

/// Which page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most items of the page, 1 to 500 (default 100).
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The page's size.
    pub(super) fn count_max(&self) -> u32 {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// The number that the page before ended with, in lists of numbered things.
    pub(super) fn before(&self) -> Result<Option<u64>, Problem> {
        let parsed = self.cursor.as_deref().map(str::parse).transpose();
        parsed.map_err(|_not_a_number| {
            Problem::bad_request("the cursor is not one that this list gave")
        })
    }

    /// One more than the page, which tells whether another page follows.
    pub(super) fn fetch_max(&self) -> u32 {
        self.count_max().saturating_add(1)
    }
}

/// [`PageQuery`] of a request, or the problem with it.
pub(super) struct PageOf(pub PageQuery);

impl<S: Send + Sync> FromRequestParts<S> for PageOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        query(parts, state, "cursor").await.map(Self)
    }
}

/// Which page of a list that can be narrowed to a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NamedPageQuery {
    /// Most items of the page, 1 to 500 (default 100).
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only items of this name.
    pub name: Option<String>,
}

/// [`NamedPageQuery`] of a request, or the problem with it.
pub(super) struct NamedPageOf {
    pub name: Option<String>,
    pub page: PageQuery,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedPageOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = query::<NamedPageQuery, S>(parts, state, "cursor and name").await?;
        Ok(Self {
            name: query.name,
            page: PageQuery {
                limit: query.limit,
                cursor: query.cursor,
            },
        })
    }
}

async fn query<Q: DeserializeOwned, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    others: &str,
) -> Result<Q, Problem> {
    match Query::<Q>::from_request_parts(parts, state).await {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => {
            let text = rejection.body_text();
            let cause = text
                .rsplit_once("query string: ")
                .map_or(text.as_str(), |(_, cause)| cause);
            Err(Problem::bad_request(format!(
                "the query is not valid: {cause}. Use limit=1 to {LIMIT_MAX} and {others}"
            )))
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Ask with it for the page that follows; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of up to [`PageQuery::fetch_max`] items, in order.
    pub(super) fn new(mut items: Vec<T>, query: &PageQuery, cursor: impl Fn(&T) -> String) -> Self {
        let count_max = usize::try_from(query.count_max()).unwrap_or(usize::MAX);
        let more = items.len() > count_max;
        items.truncate(count_max);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Self { items, next_cursor }
    }
}

/// A named document in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Named<T> {
    /// Its name.
    pub name: String,
    /// What `GET` of it shows.
    pub spec: T,
}
