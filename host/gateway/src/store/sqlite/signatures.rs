//! Signatures of plugins: one for each key, and not many.

use crate::model::Signature;
use crate::state::unix_ms;
use crate::store::{Put, SIGNATURES_MAX, StoreError};

use super::SqliteStore;
use super::rows::{to_i64, to_text};

pub(super) async fn put(store: &SqliteStore, signature: &Signature) -> Result<Put, StoreError> {
    let (digest, key) = (&signature.digest, signature.public_key.to_string());
    let document = to_text("signature", signature)?;
    let mut tx = store.write().await?;
    let replaced =
        sqlx::query("UPDATE signatures SET document = ? WHERE digest = ? AND public_key = ?")
            .bind(&document)
            .bind(digest)
            .bind(&key)
            .execute(&mut *tx)
            .await?
            .rows_affected()
            > 0;
    if !replaced {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM signatures WHERE digest = ?")
            .bind(digest)
            .fetch_one(&mut *tx)
            .await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= SIGNATURES_MAX {
            return Err(StoreError::TooManySignatures {
                digest: digest.clone(),
                count_max: SIGNATURES_MAX,
            });
        }
        let written = sqlx::query(
            "INSERT INTO signatures (digest, public_key, document, added_at_ms) VALUES (?, ?, ?, ?)",
        )
        .bind(digest)
        .bind(&key)
        .bind(&document)
        .bind(to_i64(unix_ms()))
        .execute(&mut *tx)
        .await;
        match written {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                let digest = digest.clone();
                return Err(StoreError::NoSuchPlugin { digest });
            }
            Err(error) => return Err(error.into()),
        }
    }
    tx.commit().await?;
    Ok(if replaced {
        Put::Replaced
    } else {
        Put::Created
    })
}
