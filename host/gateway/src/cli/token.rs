//! `portcullis token`: mints a JWT for development, as an identity provider would.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use super::{CliError, Output};
use crate::signing::signers as signers_of;

const EXAMPLES: &str = "\
Examples:
  portcullis token --secret-file secret.txt --issuer https://login.example --audience https://mcp.example \\
      --subject alice --team search --role developer --scope tools:call
      A token signed with HS256; the tenant's issuer holds the same secret (at least 32 bytes).
  portcullis token --key private.pem --kid 2026-01 --issuer https://login.example --subject ci --expires-in 10m
      RS256, ES256, ES384 or EdDSA, as the key has it.

Claims: `team`, `roles` (a list), `scope` (words in one string, RFC 9068), `tenant`; --claim adds any other, in JSON.";

/// What the token says, and what signs it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("signer").required(true).args(["secret", "secret_file", "key"])))]
pub(super) struct TokenArgs {
    /// Shared secret, for HS256. Other users of this machine can see it: --secret-file is safer.
    #[arg(long)]
    secret: Option<String>,
    /// File with the shared secret, for HS256; a newline at its end does not count.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Private key (PEM): RSA, P-256, P-384 or Ed25519.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Algorithm, where the key leaves a choice.
    #[arg(long, value_enum)]
    alg: Option<Alg>,
    /// Key id (`kid`) in the token's header.
    #[arg(long)]
    kid: Option<String>,
    /// `iss`.
    #[arg(long)]
    issuer: Option<String>,
    /// `aud`; can be repeated.
    #[arg(long)]
    audience: Vec<String>,
    /// `sub`.
    #[arg(long)]
    subject: Option<String>,
    /// `team`.
    #[arg(long)]
    team: Option<String>,
    /// One of `roles`; can be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// One word of `scope`; can be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// `tenant`.
    #[arg(long)]
    tenant: Option<String>,
    /// How long it is valid: 90s, 15m, 1h, 7d. A negative time makes an expired one, to try refusals.
    #[arg(long, default_value = "1h", allow_hyphen_values = true, value_parser = parse_duration_s)]
    expires_in: i64,
    /// Another claim; the value is JSON, or else text. Can be repeated.
    #[arg(long = "claim", value_name = "NAME=JSON")]
    claims: Vec<String>,
}

/// Signature algorithms (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
enum Alg {
    HS256,
    RS256,
    PS256,
    ES256,
    ES384,
    EdDSA,
}

impl From<Alg> for Algorithm {
    fn from(alg: Alg) -> Self {
        match alg {
            Alg::HS256 => Self::HS256,
            Alg::RS256 => Self::RS256,
            Alg::PS256 => Self::PS256,
            Alg::ES256 => Self::ES256,
            Alg::ES384 => Self::ES384,
            Alg::EdDSA => Self::EdDSA,
        }
    }
}

pub(super) fn run(args: TokenArgs, output: Output) -> Result<(), CliError> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_s = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let claims = claims(&args, now_s)?;
    let token = sign(&args, &claims)?;
    output.print(&json!({"token": token, "claims": claims}), || token.clone());
    Ok(())
}

fn claims(args: &TokenArgs, now_s: i64) -> Result<Map<String, Value>, CliError> {
    let mut claims = Map::new();
    let texts = [
        ("iss", &args.issuer),
        ("sub", &args.subject),
        ("team", &args.team),
        ("tenant", &args.tenant),
    ];
    for (claim, text) in texts {
        if let Some(text) = text {
            claims.insert(claim.to_owned(), json!(text));
        }
    }
    match args.audience.as_slice() {
        [] => {}
        [one] => drop(claims.insert("aud".to_owned(), json!(one))),
        many => drop(claims.insert("aud".to_owned(), json!(many))),
    }
    if !args.roles.is_empty() {
        claims.insert("roles".to_owned(), json!(args.roles));
    }
    if !args.scopes.is_empty() {
        claims.insert("scope".to_owned(), json!(args.scopes.join(" ")));
    }
    claims.insert("iat".to_owned(), json!(now_s));
    claims.insert(
        "exp".to_owned(),
        json!(now_s.saturating_add(args.expires_in)),
    );
    for claim in &args.claims {
        let (name, text) = claim
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("--claim {claim}: write it as NAME=JSON")))?;
        let value =
            serde_json::from_str(text).unwrap_or_else(|_not_json| Value::String(text.to_owned()));
        claims.insert(name.to_owned(), value);
    }
    Ok(claims)
}

fn sign(args: &TokenArgs, claims: &Map<String, Value>) -> Result<String, CliError> {
    let mut last = None;
    for (algorithm, key) in signers(args)? {
        let mut header = Header::new(algorithm);
        header.kid.clone_from(&args.kid);
        match jsonwebtoken::encode(&header, claims, &key) {
            Ok(token) => return Ok(token),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(source) => Err(CliError::Token { source }),
        None => Err(CliError::Usage(
            "the key is not a private key in PEM: RSA, P-256, P-384 or Ed25519".to_owned(),
        )),
    }
}

/// Key and algorithm; both curves for an EC key, since its PEM type does not say which.
fn signers(args: &TokenArgs) -> Result<Vec<(Algorithm, EncodingKey)>, CliError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })
    };
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => Some(secret.clone().into_bytes()),
        (None, Some(path)) => Some(read(path)?.trim_ascii_end().to_vec()),
        (None, None) => None,
    };
    if let Some(secret) = secret {
        return match args.alg {
            None | Some(Alg::HS256) => {
                Ok(vec![(Algorithm::HS256, EncodingKey::from_secret(&secret))])
            }
            Some(Alg::RS256 | Alg::PS256 | Alg::ES256 | Alg::ES384 | Alg::EdDSA) => Err(
                CliError::Usage("this --alg needs a private key: give --key".to_owned()),
            ),
        };
    }
    let Some(path) = &args.key else {
        return Err(CliError::Usage(
            "give --secret, --secret-file or --key".to_owned(),
        ));
    };
    let pem = read(path)?;
    if args.alg == Some(Alg::HS256) {
        return Err(CliError::Usage(
            "HS256 takes a shared secret: give --secret-file".to_owned(),
        ));
    }
    let found = signers_of(&pem);
    Ok(match args.alg {
        Some(alg) => found
            .into_iter()
            .take(1)
            .map(|(_, key)| (Algorithm::from(alg), key))
            .collect(),
        None => found,
    })
}

/// `90s`, `15m`, `1h`, `7d`, or seconds; in seconds.
pub(super) fn parse_duration_s(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a duration: write 90s, 15m, 1h or 7d");
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => {
            let unit_s = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                _ => return Err(wrong()),
            };
            (text.get(..at).unwrap_or_default(), unit_s)
        }
        Some(_) | None => (text, 1),
    };
    let number: i64 = number.parse().map_err(|_not_a_number| wrong())?;
    number.checked_mul(unit_s).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
