//! How much one plugin of one tenant may keep. Every bound refuses; none of them evicts what is live.

/// Bounds on what one plugin of one tenant keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBounds {
    /// Counters that are not yet full again. A further key is refused until one is.
    pub quota_keys_max: usize,
    /// Requests in one take. A longer list is refused as a whole.
    pub quota_requests_max: usize,
    /// Keys with a value that has not expired.
    pub state_keys_max: usize,
    /// Keys and values together.
    pub state_bytes_max: usize,
    /// One value.
    pub state_value_bytes_max: usize,
    /// One key.
    pub state_key_bytes_max: usize,
}

impl Default for StateBounds {
    fn default() -> Self {
        Self {
            quota_keys_max: 100_000,
            quota_requests_max: 64,
            state_keys_max: 10_000,
            state_bytes_max: 8 * 1024 * 1024,
            state_value_bytes_max: 256 * 1024,
            state_key_bytes_max: 512,
        }
    }
}
