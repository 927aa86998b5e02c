//! Whether a plugin may be bound: the operator's requirement, and then the tenant's.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::model::{PublicKey, Signature, TrustSpec};

use super::{SignatureError, Statement};

/// Whose signatures count, and for what, where a chain is put.
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'a> {
    /// Whether every plugin of the gateway must be signed by one of `operator_keys`.
    pub operator_requires: bool,
    /// Keys whose signatures count everywhere.
    pub operator_keys: &'a [PublicKey],
    /// The tenant's requirement, which its own keys meet, and the operator's.
    pub tenant: &'a TrustSpec,
}

/// Why a plugin may not be bound.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Distrust {
    /// Nobody has signed it.
    #[error(
        "it is not signed, and {who} requires a signature by {wanted}: sign it with `portcullis plugin sign`, and push it with its signature"
    )]
    Unsigned {
        /// `the operator` or `the tenant`.
        who: &'static str,
        /// Ids of the keys that count.
        wanted: String,
    },
    /// Others have signed it.
    #[error("it is signed by {signers}, and {who} requires a signature by {wanted}")]
    UnknownSigner {
        /// `the operator` or `the tenant`.
        who: &'static str,
        /// Ids of the keys that signed it.
        signers: String,
        /// Ids of the keys that count.
        wanted: String,
    },
    /// A signature by a key that counts does not hold.
    #[error(transparent)]
    Wrong(#[from] SignatureError),
}

impl Judgement<'_> {
    /// Whether anybody requires anything.
    #[must_use]
    pub fn requires(&self) -> bool {
        self.operator_requires || self.tenant.require_signature
    }
}

impl Distrust {
    /// The stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } => "unsigned",
            Self::UnknownSigner { .. } => "unknown-signer",
            Self::Wrong(_) => "wrong-signature",
        }
    }
}

/// Whether a plugin with these signatures may be bound.
///
/// # Errors
/// [`Distrust`], which says whose requirement is not met, and how it would be.
pub fn judge(
    judgement: Judgement<'_>,
    statement: &Statement,
    signatures: &[Signature],
) -> Result<(), Distrust> {
    let Judgement {
        operator_requires,
        operator_keys,
        tenant,
    } = judgement;
    let everywhere: BTreeSet<PublicKey> = operator_keys.iter().copied().collect();
    if operator_requires {
        require("the operator", &everywhere, statement, signatures)?;
    }
    if tenant.require_signature {
        let own = tenant.keys.iter().map(|key| key.public_key);
        let keys = everywhere.into_iter().chain(own).collect();
        require("the tenant", &keys, statement, signatures)?;
    }
    Ok(())
}

fn require(
    who: &'static str,
    keys: &BTreeSet<PublicKey>,
    statement: &Statement,
    signatures: &[Signature],
) -> Result<(), Distrust> {
    let counting = signatures
        .iter()
        .filter(|signature| keys.contains(&signature.public_key));
    let mut wrong = None;
    for signature in counting {
        match statement.verify(signature) {
            Ok(()) => return Ok(()),
            Err(error) => wrong = Some(error),
        }
    }
    let ids = |keys: &mut dyn Iterator<Item = PublicKey>| {
        let ids: Vec<String> = keys.map(|key| format!("key {}", key.id())).collect();
        ids.join(" or ")
    };
    let wanted = match keys.len() {
        0 => "a key that it trusts, of which there is none".to_owned(),
        _ => ids(&mut keys.iter().copied()),
    };
    Err(match wrong {
        Some(error) => error.into(),
        None if signatures.is_empty() => Distrust::Unsigned { who, wanted },
        None => Distrust::UnknownSigner {
            who,
            signers: ids(&mut signatures.iter().map(|signature| signature.public_key)),
            wanted,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TrustedKey;
    use crate::trust::PrivateKey;
    use crate::trust::statement::tests::statement;

    /// A title, who requires a signature, who signed, and what comes of it.
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static str,
    );

    const CASES: [Case; 12] = [
        ("nothing is required", &[], &[], ""),
        ("nor of a stranger", &[], &["stranger"], ""),
        ("the operator, unsigned", &["operator"], &[], "unsigned"),
        ("the operator, signed", &["operator"], &["operator"], ""),
        (
            "by the tenant",
            &["operator"],
            &["tenant"],
            "unknown-signer",
        ),
        (
            "both",
            &["operator", "tenant"],
            &["tenant"],
            "unknown-signer",
        ),
        ("the tenant, unsigned", &["tenant"], &[], "unsigned"),
        ("the tenant, its own key", &["tenant"], &["tenant"], ""),
        ("the tenant, the operator's", &["tenant"], &["operator"], ""),
        (
            "by a stranger",
            &["tenant"],
            &["stranger"],
            "unknown-signer",
        ),
        (
            "by one of several",
            &["tenant"],
            &["stranger", "tenant"],
            "",
        ),
        ("forged", &["tenant"], &["forged"], "wrong-signature"),
    ];

    #[test]
    fn the_operators_keys_count_everywhere_and_the_tenants_for_itself() {
        let key = || PrivateKey::generate().map(|(key, _)| key).unwrap();
        let (operator, tenant, stranger) = (key(), key(), key());
        let plugin = statement("a", |_| {});
        let by = |who: &&str| match *who {
            "operator" => plugin.sign(&operator).unwrap(),
            "tenant" => plugin.sign(&tenant).unwrap(),
            "stranger" => plugin.sign(&stranger).unwrap(),
            forged => Signature {
                signature: forged.to_owned(),
                ..plugin.sign(&tenant).unwrap()
            },
        };
        let operator_keys = [operator.public().unwrap()];
        for (title, required, signed, want) in CASES {
            let own = TrustedKey {
                name: String::new(),
                id: None,
                public_key: tenant.public().unwrap(),
            };
            let judgement = Judgement {
                operator_requires: required.contains(&"operator"),
                operator_keys: &operator_keys,
                tenant: &TrustSpec {
                    require_signature: required.contains(&"tenant"),
                    keys: vec![own],
                },
            };
            let signatures: Vec<Signature> = signed.iter().map(by).collect();
            let judged = judge(judgement, &plugin, &signatures);
            let code = judged.as_ref().err().map_or("", Distrust::code);
            assert_eq!(code, want, "{title}: {judged:?}");
        }
    }
}
