//! The outcome for people: a table, and below it everything that keeps a run from being good, or is worth a look.
//! `report` tells it to programs.

use portcullis_tests::mcp::Era;

use crate::options::Way;
use crate::suite::Remark;
use crate::verdict::Verdict;

/// How much of a check's message is shown; the report has all of it.
const MESSAGE_CHARS_SHOWN: usize = 200;

/// The table and the remarks.
pub fn text(verdicts: &[Verdict]) -> String {
    let counts = "passed  failed  skipped";
    let [session, stateless] = [Era::Session, Era::Stateless].map(Era::revision);
    let mut lines = vec![
        format!("{:<17}  {session:<23}     {stateless}", ""),
        format!("{:<17}  {counts}     {counts}", ""),
    ];
    for of_way in verdicts.chunk_by(|one, next| one.way == next.way) {
        let name = of_way.first().map(|verdict| verdict.way.name());
        let cells = of_way.iter().map(|verdict| {
            let skipped = verdict.skipped.len();
            format!("{:>6}  {:>6}  {skipped:>7}", verdict.passed, verdict.failed)
        });
        let cells: Vec<String> = cells.collect();
        lines.push(format!(
            "{:<17}  {}",
            name.unwrap_or_default(),
            cells.join("     ")
        ));
    }
    for verdict in verdicts {
        let directly = |other: &&Verdict| other.way == Way::Direct && other.era == verdict.era;
        let remarks = remarks(verdict, verdicts.iter().find(directly));
        if !remarks.is_empty() {
            lines.push(format!(
                "\n{}, {}",
                verdict.way.name(),
                verdict.era.revision()
            ));
            lines.extend(remarks.iter().map(|remark| format!("  {remark}")));
        }
    }
    lines.join("\n")
}

fn remarks(verdict: &Verdict, directly: Option<&Verdict>) -> Vec<String> {
    let of_check = |what: &str, (scenario, remark): &(String, Remark)| {
        let words: Vec<&str> = remark.message.split_whitespace().collect();
        let message: String = words.join(" ").chars().take(MESSAGE_CHARS_SHOWN).collect();
        format!("{what:<8} {scenario} / {}: {message}", remark.check)
    };
    let mut remarks: Vec<String> = Vec::new();
    remarks.extend(verdict.failures.iter().map(|of| of_check("failed", of)));
    remarks.extend(verdict.warnings.iter().map(|of| of_check("warned", of)));
    remarks.extend(verdict.left_out.iter().map(|of| of_check("not made", of)));
    let less = directly
        .into_iter()
        .flat_map(|directly| verdict.less_than(directly));
    remarks.extend(
        less.map(|(name, passed, of)| {
            format!("fewer    {name}: {passed} passed, {of} do directly")
        }),
    );
    let skipped = verdict.skipped.iter();
    remarks.extend(skipped.map(|of| format!("skipped  {}: {}", of.scenario, of.why)));
    let after_all = verdict.passed_after_all.iter();
    remarks.extend(after_all.map(|of| {
        format!("passed   {of}, which is said to be impossible: take it out of the table")
    }));
    if verdict.passed < verdict.passed_min() {
        remarks.push(format!(
            "too few  {} checks passed, {} are wanted",
            verdict.passed,
            verdict.passed_min()
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use crate::suite::Scenario;

    use super::*;

    #[test]
    fn a_reader_sees_the_counts_and_what_is_wrong() {
        let scenario = |name: &str, passed, failure: Option<&str>| Scenario {
            name: name.to_owned(),
            passed,
            failed: u32::from(failure.is_some()),
            failures: failure
                .map(|message| Remark {
                    check: "a-check".to_owned(),
                    message: message.to_owned(),
                })
                .into_iter()
                .collect(),
            left_out: Vec::new(),
            warnings: Vec::new(),
        };
        let run = |way, ping, pong| {
            let scenarios = vec![scenario("ping", ping, None), pong];
            Verdict::of(way, Era::Session, scenarios)
        };
        let verdicts = [
            run(Way::Direct, 80, scenario("pong", 4, None)),
            run(Way::Gateway, 79, scenario("pong", 3, Some("no\n answer"))),
        ];
        insta::assert_snapshot!(text(&verdicts), @r"
                   2025-11-25                  2026-07-28
                   passed  failed  skipped     passed  failed  skipped
direct                 84       0        0
gateway                82       1        0

gateway, 2025-11-25
  failed   pong / a-check: no answer
  fewer    ping: 79 passed, 80 do directly
  too few  82 checks passed, 83 are wanted
");
    }
}
