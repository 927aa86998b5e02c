//! Whether a rollout goes on: its bounds, held against what was seen.

use crate::model::RolloutBounds;

use super::{Course, Rollout};

/// What is to become of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It goes on.
    GoOn,
    /// A bound is broken: the candidate is taken back, for this reason.
    RollBack(String),
    /// It has proved itself, in this way.
    Promote(String),
}

/// Judges a rollout as it is now.
#[must_use]
pub fn judge(rollout: &Rollout) -> Judgement {
    let course = &rollout.course;
    if let Some(reason) = broken(&rollout.plan.bounds, course) {
        return Judgement::RollBack(reason);
    }
    match rollout.plan.promote_after {
        Some(after)
            if seen(rollout) >= after.calls
                && course.started.elapsed().as_secs() >= after.seconds =>
        {
            Judgement::Promote(format!(
                "it saw {} calls in {} s, and broke no bound",
                seen(rollout),
                course.started.elapsed().as_secs()
            ))
        }
        Some(_) | None => Judgement::GoOn,
    }
}

fn seen(rollout: &Rollout) -> u64 {
    rollout.course.candidate.counted().calls
}

/// The first bound that is broken, in words.
fn broken(bounds: &RolloutBounds, course: &Course) -> Option<String> {
    let (candidate, live) = (course.candidate.counted(), course.live.counted());
    if candidate.calls < bounds.calls_min {
        return None;
    }
    let failed = candidate.percent(candidate.failed);
    if failed > bounds.failures_percent_max {
        return Some(format!(
            "hooks failed on {failed:.1} % of its calls ({} of {}), and at most {} % may",
            candidate.failed, candidate.calls, bounds.failures_percent_max
        ));
    }
    let over = candidate.percent(candidate.denied) - live.percent(live.denied);
    if let Some(over_max) = bounds.denials_percent_over_max
        && over > over_max
    {
        return Some(format!(
            "it refused {over:.1} percentage points more calls than the live chain, and at most {over_max} are allowed"
        ));
    }
    let (compared, agreed) = course.compared.counted();
    if let Some(percent_max) = bounds.differences_percent_max
        && compared >= bounds.calls_min
    {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a share, of numbers far below 2^52"
        )]
        let percent = (compared - agreed) as f64 * 100.0 / compared as f64;
        if percent > percent_max {
            return Some(format!(
                "it differed from the live chain on {percent:.1} % of {compared} calls, and at most {percent_max} % are allowed"
            ));
        }
    }
    let mean_us = candidate.mean_us();
    match bounds.mean_us_max {
        Some(mean_us_max) if mean_us > mean_us_max => Some(format!(
            "its hooks took {mean_us} us a call in the mean, and at most {mean_us_max} us are allowed"
        )),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_sandbox::{Denial, Failure};

    use super::*;

    fn denial() -> Denial {
        Denial {
            code: "forbidden".into(),
            message: String::new(),
            retry_after_ms: None,
            challenge: None,
        }
    }

    /// Calls of which so many are refused and fail, each with one hook of 10 us.
    fn saw(tally: &super::super::Tally, (calls, denied, failed): (u64, u64, u64)) {
        let took = Duration::from_micros(10);
        for call in 0..calls {
            tally.call();
            if call < failed {
                tally.hook::<()>(&Err(Failure::Trap(String::new())), took);
            } else if call < failed + denied {
                tally.hook::<()>(&Ok(Err(denial())), took);
            } else {
                tally.hook(&Ok(Ok(())), took);
            }
        }
    }

    #[test]
    fn bounds_count_once_enough_calls_were_seen() {
        let bounds = RolloutBounds {
            denials_percent_over_max: Some(5.0),
            differences_percent_max: Some(10.0),
            mean_us_max: Some(50),
            ..RolloutBounds::default()
        };
        let course = Course::default();
        saw(&course.candidate, (19, 0, 19));
        assert_eq!(broken(&bounds, &course), None, "too few to tell");
        saw(&course.candidate, (1, 0, 0));
        let reason = broken(&bounds, &course).unwrap();
        assert!(
            reason.contains("95.0 % of its calls (19 of 20)"),
            "{reason}"
        );

        let course = Course::default();
        saw(&course.candidate, (200, 20, 2));
        saw(&course.live, (1_000, 60, 0));
        assert_eq!(
            broken(&bounds, &course),
            None,
            "one in a hundred may fail, and the live chain refuses six"
        );
        saw(&course.candidate, (10, 10, 0));
        let reason = broken(&bounds, &course).unwrap();
        assert!(reason.contains("percentage points more"), "{reason}");
    }

    #[test]
    fn slow_candidates_are_taken_back() {
        let bounds = RolloutBounds {
            mean_us_max: Some(9),
            ..RolloutBounds::default()
        };
        let course = Course::default();
        saw(&course.candidate, (20, 0, 0));
        let reason = broken(&bounds, &course).unwrap();
        assert!(reason.contains("10 us a call"), "{reason}");
        assert_eq!(course.candidate.counted().p99_us, 16);
    }
}
