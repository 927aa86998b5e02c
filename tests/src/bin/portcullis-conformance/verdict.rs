//! What is made of a run: checks that count, scenarios that are skipped, and whether it reached what is wanted.
//!
//! `suite` comes before, `report` after.

use std::collections::BTreeMap;

use portcullis_tests::mcp::Era;

use crate::options::Way;
use crate::suite::{Remark, Scenario};
use crate::uncarried;

/// The outcome of one run.
#[derive(Debug)]
pub struct Verdict {
    /// The way that was gone.
    pub way: Way,
    /// The era of the suite's clients.
    pub era: Era,
    /// Checks that passed, those of skipped scenarios not among them.
    pub passed: u32,
    /// Checks that failed, those of skipped scenarios not among them.
    pub failed: u32,
    /// Scenarios that do not count.
    pub skipped: Vec<Skipped>,
    /// Every check that failed and counts, with its scenario.
    pub failures: Vec<(String, Remark)>,
    /// Every check that the suite did not make, with its scenario, of which others count.
    pub left_out: Vec<(String, Remark)>,
    /// Every check that is not quite right, with its scenario.
    pub warnings: Vec<(String, Remark)>,
    /// Scenarios that are said to be impossible, and passed.
    pub passed_after_all: Vec<String>,
    /// How many checks passed in each scenario of which none failed.
    pub clean: BTreeMap<String, u32>,
}

/// A scenario that does not count.
#[derive(Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub scenario: String,
    /// The reason.
    pub why: String,
}

impl Verdict {
    /// Judges a run.
    pub fn of(way: Way, era: Era, scenarios: Vec<Scenario>) -> Self {
        let why = |scenario: &Scenario| uncarried::why(way, era, &scenario.name);
        Self::judge(way, era, scenarios, why)
    }

    fn judge(
        way: Way,
        era: Era,
        scenarios: Vec<Scenario>,
        uncarried: impl Fn(&Scenario) -> Option<&'static str>,
    ) -> Self {
        let mut verdict = Self {
            way,
            era,
            passed: 0,
            failed: 0,
            skipped: Vec::new(),
            failures: Vec::new(),
            left_out: Vec::new(),
            warnings: Vec::new(),
            passed_after_all: Vec::new(),
            clean: BTreeMap::new(),
        };
        for scenario in scenarios {
            match (uncarried(&scenario), scenario.failed) {
                (Some(why), 1..) => verdict.skip(scenario.name, why.to_owned()),
                (Some(_), 0) => {
                    verdict.passed_after_all.push(scenario.name.clone());
                    verdict.count(scenario);
                }
                (None, _) => verdict.count(scenario),
            }
        }
        verdict
    }

    fn skip(&mut self, scenario: String, why: String) {
        self.skipped.push(Skipped { scenario, why });
    }

    fn count(&mut self, scenario: Scenario) {
        let Scenario {
            name,
            passed,
            failed,
            failures,
            left_out,
            warnings,
        } = scenario;
        self.passed += passed;
        self.failed += failed;
        if failed == 0 {
            self.clean.insert(name.clone(), passed);
        }
        let of = |remark| (name.clone(), remark);
        self.failures.extend(failures.into_iter().map(of));
        self.warnings.extend(warnings.into_iter().map(of));
        if passed + failed > 0 {
            self.left_out.extend(left_out.into_iter().map(of));
            return;
        }
        for remark in left_out {
            self.skip(
                name.clone(),
                format!("the suite does not check it: {}", remark.message),
            );
        }
    }

    /// Scenarios of which nothing fails and less passes than in `other`, with both counts.
    pub fn less_than<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, u32, u32)> {
        let both = self
            .clean
            .iter()
            .filter_map(|(name, passed)| Some((name, *passed, *other.clean.get(name)?)));
        both.filter(|(_, passed, of)| passed < of)
            .map(|(name, passed, of)| (name.as_str(), passed, of))
    }

    /// Checks that have to pass. Which of them mean something across eras is the table's to say.
    pub fn passed_min(&self) -> u32 {
        match (self.way, self.era) {
            (Way::Direct | Way::Gateway, Era::Session) => 83,
            (Way::Direct | Way::Gateway, Era::Stateless) => 197,
            (Way::GatewayCrossed, _) => 1,
            // As many as with the client of the official SDK for Rust.
            (Way::Client, Era::Session) => 224,
            (Way::Client, Era::Stateless) => 408,
        }
    }

    /// Whether it reached what is wanted.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed >= self.passed_min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &str, passed: u32, failed: u32) -> Scenario {
        let failure = |at| Remark {
            check: format!("{name}-{at}"),
            message: "no".to_owned(),
        };
        Scenario {
            name: name.to_owned(),
            passed,
            failed,
            failures: (0..failed).map(failure).collect(),
            left_out: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn judge(scenarios: Vec<Scenario>) -> Verdict {
        let impossible = |scenario: &Scenario| {
            scenario
                .name
                .starts_with("impossible")
                .then_some("so it is")
        };
        Verdict::judge(Way::Gateway, Era::Session, scenarios, impossible)
    }

    #[test]
    fn a_failure_or_too_few_checks_are_not_good() {
        for (passed, failed, good) in [(83, 0, true), (84, 0, true), (82, 0, false), (83, 1, false)]
        {
            let verdict = judge(vec![scenario("ping", passed, failed)]);
            assert_eq!(verdict.is_good(), good, "{passed} passed, {failed} failed");
        }
    }

    #[test]
    fn what_is_impossible_is_skipped_with_its_reason_until_it_passes() {
        let verdict = judge(vec![
            scenario("ping", 80, 0),
            scenario("impossible-1", 7, 2),
            scenario("impossible-2", 3, 0),
        ]);
        assert_eq!((verdict.passed, verdict.failed), (83, 0));
        assert_eq!(
            verdict.skipped,
            [Skipped {
                scenario: "impossible-1".to_owned(),
                why: "so it is".to_owned()
            }]
        );
        assert_eq!(verdict.passed_after_all, ["impossible-2"]);
        assert!(verdict.is_good() && verdict.failures.is_empty());
    }

    #[test]
    fn what_is_not_even_checked_is_seen_beside_another_run() {
        let run = |ping, pong, failed| {
            judge(vec![
                scenario("ping", ping, 0),
                scenario("pong", pong, failed),
            ])
        };
        let less: Vec<_> = run(1, 3, 0)
            .less_than(&run(2, 3, 0))
            .map(|(name, one, other)| format!("{name} {one} {other}"))
            .collect();
        assert_eq!(less, ["ping 1 2"]);
        assert_eq!(
            run(2, 1, 1).less_than(&run(2, 2, 0)).count(),
            0,
            "a failure tells enough"
        );
    }

    #[test]
    fn what_the_suite_leaves_out_is_told_and_skipped_if_it_is_everything() {
        let leaves_out = |name: &str, passed| {
            let left_out = Remark {
                check: "one".to_owned(),
                message: "not written yet".to_owned(),
            };
            Scenario {
                left_out: vec![left_out],
                ..scenario(name, passed, 0)
            }
        };
        let verdict = judge(vec![leaves_out("half", 83), leaves_out("all", 0)]);
        assert_eq!(verdict.passed, 83);
        let left_out: Vec<&str> = verdict
            .left_out
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(left_out, ["half"]);
        let skipped: Vec<&str> = verdict
            .skipped
            .iter()
            .map(|of| of.scenario.as_str())
            .collect();
        assert_eq!(skipped, ["all"]);
        assert!(verdict.skipped[0].why.contains("not written yet"));
    }
}
