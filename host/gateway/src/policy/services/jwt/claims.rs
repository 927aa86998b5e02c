//! The registered claims that decide whether a token holds (RFC 7519, 4.1).

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::refusal::JwtRefusal;

/// How far clocks may be apart: a token is taken this many seconds past its `exp`, and before its `nbf`.
pub const LEEWAY_S: u64 = 30;

/// What a guest accepts.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy::services) struct Asked<'a> {
    /// Values of `iss`; an empty list stands for every issuer that the tenant registered.
    pub(in crate::policy::services) issuers: &'a [String],
    /// Values of `aud`; an empty list skips the audience.
    pub(in crate::policy::services) audiences: &'a [String],
}

/// Claims by which the host decides. The others are the guest's.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    iss: Box<str>,
    exp: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default)]
    aud: Audience,
}

impl Claims {
    pub(super) fn iss(&self) -> &str {
        &self.iss
    }

    /// Issuer, times and audience, in this order.
    pub(super) fn check(&self, asked: Asked<'_>, now_s: u64) -> Result<(), JwtRefusal> {
        if !asked.issuers.is_empty() && !asked.issuers.iter().any(|issuer| **issuer == *self.iss) {
            return Err(JwtRefusal::UnknownIssuer);
        }
        if now_s >= self.exp.0.saturating_add(LEEWAY_S) {
            return Err(JwtRefusal::Expired);
        }
        if self
            .nbf
            .is_some_and(|nbf| now_s.saturating_add(LEEWAY_S) < nbf.0)
        {
            return Err(JwtRefusal::NotYetValid);
        }
        if !asked.audiences.is_empty()
            && !asked
                .audiences
                .iter()
                .any(|audience| self.aud.has(audience))
        {
            return Err(JwtRefusal::WrongAudience);
        }
        Ok(())
    }
}

/// Seconds since the Unix epoch; a fraction is cut off.
#[derive(Debug, Clone, Copy)]
struct NumericDate(u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("seconds since the Unix epoch")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate(seconds))
            }

            fn visit_i64<E: Error>(self, seconds: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(u64::try_from(seconds).unwrap_or(0)))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
                // Saturates at both ends.
                Ok(NumericDate(seconds as u64))
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// One audience or several.
#[derive(Debug, Default)]
struct Audience(Vec<Box<str>>);

impl Audience {
    fn has(&self, audience: &str) -> bool {
        self.0.iter().any(|one| **one == *audience)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Audience;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_str<E: Error>(self, one: &str) -> Result<Audience, E> {
                Ok(Audience(vec![one.into()]))
            }

            fn visit_unit<E: Error>(self) -> Result<Audience, E> {
                Ok(Audience::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audience, A::Error> {
                let mut all = Vec::new();
                while all.len() < AUDIENCES_MAX {
                    match seq.next_element()? {
                        Some(one) => all.push(one),
                        None => return Ok(Audience(all)),
                    }
                }
                match seq.next_element::<IgnoredAny>()? {
                    Some(_) => Err(A::Error::invalid_length(
                        AUDIENCES_MAX + 1,
                        &"fewer audiences",
                    )),
                    None => Ok(Audience(all)),
                }
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

/// A token for more audiences than this is not taken apart any further.
const AUDIENCES_MAX: usize = 64;
