//! Samples of a tenant's calls, kept in memory for those who explain and replay them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which calls are kept as samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureSpec {
    /// Of the calls, in percent (0 to 100).
    pub percent: f64,
    /// Samples that are kept; newer ones take the place of older ones (default 100, at most 1,000).
    #[serde(default = "samples_max")]
    pub samples_max: u32,
}

/// Samples that are kept where nothing else is said.
#[must_use]
pub fn samples_max() -> u32 {
    100
}

// Percentages are checked to be numbers before they are kept.
impl Eq for CaptureSpec {}
