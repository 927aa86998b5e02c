//! Decisions of this instance, by everything that was asked.

use std::collections::HashMap;

use crate::decision::Decision;

const DECISIONS_MAX: usize = 512;
/// A longer question is asked every time.
const QUESTION_BYTES_MAX: usize = 8 << 10;

/// Remembered decisions. The whole question is the key: no other question can be made to look like it.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, (Decision, u64)>);

impl Cache {
    pub(crate) fn get(&self, question: &str, now_ms: u64) -> Option<Decision> {
        let (decision, until_ms) = self.0.get(question)?;
        (now_ms < *until_ms).then(|| decision.clone())
    }

    pub(crate) fn keep(
        &mut self,
        question: String,
        decision: &Decision,
        (now_ms, until_ms): (u64, u64),
    ) {
        if until_ms <= now_ms || question.len() > QUESTION_BYTES_MAX {
            return;
        }
        if self.0.len() >= DECISIONS_MAX {
            self.0.retain(|_, (_, until_ms)| now_ms < *until_ms);
        }
        if self.0.len() >= DECISIONS_MAX {
            self.0.clear();
        }
        self.0.insert(question, (decision.clone(), until_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_remembered_for_a_time_and_within_bounds() {
        let mut cache = Cache::default();
        cache.keep("q".to_owned(), &Decision::Allow, (0, 10));
        assert_eq!(cache.get("q", 9), Some(Decision::Allow));
        assert_eq!(cache.get("q", 10), None);
        assert_eq!(cache.get("other", 0), None);
        cache.keep("never".to_owned(), &Decision::Allow, (5, 5));
        assert_eq!(cache.get("never", 0), None);
        cache.keep(
            "x".repeat(QUESTION_BYTES_MAX + 1),
            &Decision::Allow,
            (0, 10),
        );
        for number in 0..2 * DECISIONS_MAX {
            cache.keep(number.to_string(), &Decision::Allow, (0, 10));
            assert!(cache.0.len() <= DECISIONS_MAX);
        }
    }
}
