//! What is looked for without being told how it looks.

use serde::Deserialize;

/// A built-in pattern.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Kind {
    Email,
    CreditCard,
    UsSsn,
    Iban,
    Phone,
    Ip,
    AwsAccessKey,
    GithubToken,
    ApiKey,
    Jwt,
    PrivateKey,
}

impl Kind {
    /// What is looked for when nothing is said.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Email,
            Self::CreditCard,
            Self::UsSsn,
            Self::Iban,
            Self::AwsAccessKey,
            Self::GithubToken,
            Self::ApiKey,
            Self::Jwt,
            Self::PrivateKey,
        ]
    }

    /// The name in configurations and replacements.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::CreditCard => "credit-card",
            Self::UsSsn => "us-ssn",
            Self::Iban => "iban",
            Self::Phone => "phone",
            Self::Ip => "ip",
            Self::AwsAccessKey => "aws-access-key",
            Self::GithubToken => "github-token",
            Self::ApiKey => "api-key",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private-key",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds(u16);

impl Kinds {
    pub fn new(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | (1 << *kind as u8)))
    }

    pub fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn any(self, kinds: &[Kind]) -> bool {
        self.0 & Self::new(kinds).0 != 0
    }
}
