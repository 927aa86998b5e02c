//! Why a token does not hold, by the codes that guests know from `wit/host.wit`.

/// Why a token does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy::services) enum JwtRefusal {
    /// Not a JWS in compact form with a JSON object of claims, an `exp`, and nothing critical that is not understood.
    Malformed,
    /// The tenant did not register its issuer, or the guest did not ask for it.
    UnknownIssuer,
    /// It is meant for somebody else.
    WrongAudience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// No key of its issuer made this signature with an algorithm that fits the key.
    BadSignature,
    /// The issuer's keys are not there yet; the same token may hold in a moment.
    KeysUnavailable,
}

impl JwtRefusal {
    /// The code as guests see it.
    pub(in crate::policy::services) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknown-issuer",
            Self::WrongAudience => "wrong-audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::BadSignature => "bad-signature",
            Self::KeysUnavailable => "keys-unavailable",
        }
    }
}
