//! Which sessions a canary serves.

use super::*;
use crate::model::{RolloutBounds, RolloutState};
use crate::policy::Chain;

fn canary(percent: f64) -> Rollout {
    let record = RolloutRecord {
        id: 1,
        revision: 2,
        base: 1,
        plan: RolloutPlan {
            strategy: Strategy::Canary,
            percent: Some(percent),
            bounds: RolloutBounds::default(),
            promote_after: None,
        },
        state: RolloutState::Running,
        reason: None,
        author: "admin".into(),
        started_at_ms: 0,
        ended_at_ms: None,
    };
    let candidate = Arc::new(Generation {
        tenant: "acme".into(),
        revision: 2,
        chain: Chain::new(Vec::new(), true),
        samples: None,
    });
    Rollout::new(&record, candidate, (Arc::default(), Arc::default()))
}

#[test]
fn a_canary_serves_its_share_and_who_it_serves_it_keeps() {
    let names: Vec<String> = (0..20_000)
        .map(|number| format!("session-{number}"))
        .collect();
    let served = |percent: f64| {
        let canary = canary(percent);
        let names = names.iter().filter(|name| canary.serves(name.as_bytes()));
        names.collect::<Vec<_>>()
    };
    assert_eq!((served(0.0).len(), served(100.0).len()), (0, names.len()));
    let (few, more) = (served(5.0), served(25.0));
    assert!((800..1_200).contains(&few.len()), "{}", few.len());
    assert!((4_700..5_300).contains(&more.len()), "{}", more.len());
    assert!(few.iter().all(|name| more.contains(name)));
}
