//! The generic cell rate algorithm, as the host's `quota` answers it.

use std::collections::HashMap;

use crate::quota::{Request, Verdict};

const NS_PER_MS: u128 = 1_000_000;

/// Theoretical arrival times, in nanoseconds, by key.
#[derive(Default)]
pub struct Gcra {
    arrivals_ns: HashMap<String, u128>,
}

impl Gcra {
    /// Takes from every key or from none.
    pub fn take(&mut self, now_ms: u64, requests: &[Request]) -> Vec<Verdict> {
        let now_ns = u128::from(now_ms) * NS_PER_MS;
        let mut pending = self.arrivals_ns.clone();
        let verdicts: Vec<Verdict> = requests
            .iter()
            .map(|request| take_one(&mut pending, now_ns, request))
            .collect();
        if verdicts.iter().all(|verdict| verdict.allowed) {
            self.arrivals_ns = pending;
        }
        verdicts
    }
}

fn take_one(arrivals_ns: &mut HashMap<String, u128>, now_ns: u128, request: &Request) -> Verdict {
    let limit = request.limit;
    let interval_ns = u128::from(limit.period_ms) * NS_PER_MS / u128::from(limit.rate.max(1));
    let window_ns = interval_ns * u128::from(limit.burst);
    let known_ns = arrivals_ns.get(&request.key).copied().unwrap_or(0);
    let arrival_ns = known_ns.max(now_ns);
    let next_ns = arrival_ns + interval_ns * u128::from(request.cost);
    let allowed = next_ns <= now_ns + window_ns;
    let held_ns = if allowed { next_ns } else { arrival_ns } - now_ns;
    let remaining = window_ns.saturating_sub(held_ns) / interval_ns.max(1);
    let wait_ns = next_ns.saturating_sub(now_ns + window_ns);
    if allowed {
        arrivals_ns.insert(request.key.clone(), next_ns);
    }
    Verdict {
        allowed,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        retry_after_ms: u64::try_from(wait_ns.div_ceil(NS_PER_MS)).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Limit;

    fn request(key: &str, cost: u32) -> Request {
        let limit = Limit {
            rate: 2,
            period_ms: 1_000,
            burst: 3,
        };
        Request {
            key: key.to_owned(),
            cost,
            limit,
        }
    }

    #[test]
    fn bursts_then_paces() {
        let mut gcra = Gcra::default();
        // (now_ms, cost, allowed, remaining, retry_after_ms)
        let cases = [
            (0, 1, true, 2, 0),
            (0, 1, true, 1, 0),
            (0, 1, true, 0, 0),
            (0, 1, false, 0, 500),
            (499, 1, false, 0, 1),
            (500, 1, true, 0, 0),
            (60_000, 2, true, 1, 0),
            (60_000, 2, false, 1, 500),
        ];
        for (now_ms, cost, allowed, remaining, retry_after_ms) in cases {
            let want = Verdict {
                allowed,
                remaining,
                retry_after_ms,
            };
            assert_eq!(
                gcra.take(now_ms, &[request("k", cost)]),
                [want],
                "at {now_ms}"
            );
        }
    }

    #[test]
    fn one_that_refuses_costs_the_others_nothing() {
        let mut gcra = Gcra::default();
        assert!(gcra.take(0, &[request("a", 3)])[0].allowed);
        let verdicts = gcra.take(0, &[request("b", 1), request("a", 1)]);
        assert_eq!((verdicts[0].allowed, verdicts[1].allowed), (true, false));
        assert_eq!(gcra.take(0, &[request("b", 1)])[0].remaining, 2);
    }
}
