//! What a document must be beyond its shape. Each refusal names the field by JSON Pointer and says what to do.

use axum::http::Uri;

use crate::model::{CaptureSpec, check_name};

use super::Problem;

mod auth;
mod chain;
mod identity;
mod server;
mod trust;
mod upstream;

pub(super) use chain::chain;
pub(super) use identity::{issuer, key};
pub(super) use server::server;
pub(super) use trust::trust;
pub(super) use upstream::upstream;

/// Longest label, name or word, in bytes.
const TEXT_LEN_MAX: usize = 256;
/// Longest URL, header value or secret, in bytes.
const VALUE_LEN_MAX: usize = 8 << 10;

/// Most samples of one tenant.
const SAMPLES_MAX: u32 = 1_000;

type Checked = Result<(), Problem>;

/// A name in a path.
pub(super) fn name(name: &str) -> Checked {
    check_name(name).map_err(|error| Problem::bad_request(error.to_string()))
}

/// Which calls are kept as samples.
pub(super) fn capture(capture: Option<&CaptureSpec>) -> Checked {
    match capture {
        Some(capture) if !(0.0..=100.0).contains(&capture.percent) => Err(Problem::invalid(
            "/capture/percent",
            "a percentage is 0 to 100",
        )),
        Some(capture) if !(1..=SAMPLES_MAX).contains(&capture.samples_max) => {
            Err(Problem::invalid(
                "/capture/samples_max",
                format!("1 to {SAMPLES_MAX} samples are kept"),
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// An absolute `http` or `https` URL without credentials, which would show in a `GET`.
fn check_url(pointer: &str, url: &str) -> Checked {
    let parsed = url.parse::<Uri>().ok();
    let http = parsed
        .as_ref()
        .and_then(Uri::scheme_str)
        .is_some_and(|scheme| scheme == "http" || scheme == "https");
    match parsed.as_ref().and_then(Uri::authority).filter(|_| http) {
        Some(authority) if authority.as_str().contains('@') => Err(Problem::invalid(
            pointer,
            "a URL with credentials is shown to everyone who may read it: use `headers`",
        )),
        Some(authority) if !authority.host().is_empty() => {
            short(pointer.to_owned(), url, VALUE_LEN_MAX)
        }
        Some(_) | None => Err(Problem::invalid(
            pointer,
            format!(
                "`{}` is not an http or https URL",
                url.chars().take(80).collect::<String>()
            ),
        )),
    }
}

fn at_most(pointer: &str, what: &str, count: usize, count_max: usize) -> Checked {
    if count <= count_max {
        Ok(())
    } else {
        Err(Problem::invalid(
            pointer,
            format!("{count} {what}: at most {count_max}"),
        ))
    }
}

fn short(pointer: String, text: &str, len_max: usize) -> Checked {
    if text.len() <= len_max {
        Ok(())
    } else {
        Err(Problem::invalid(
            pointer,
            format!("at most {len_max} bytes"),
        ))
    }
}
