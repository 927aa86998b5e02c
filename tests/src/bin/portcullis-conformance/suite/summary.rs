//! The summary that the suite prints at its end: how many checks of each scenario passed and failed.

use std::fmt;

/// Checks of one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The scenario.
    pub scenario: String,
    /// Checks that passed.
    pub passed: u32,
    /// Checks that failed.
    pub failed: u32,
}

impl fmt::Display for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {} passed, {} failed",
            self.scenario, self.passed, self.failed
        )
    }
}

/// Every scenario that was run, in its order; nothing where the summary is missing or does not add up.
pub fn read(output: &str) -> Option<Vec<Counted>> {
    let (_, summary) = output.split_once("SUMMARY ===")?;
    let (lines, rest) = summary.split_once("\nTotal: ")?;
    let counted = lines.lines().filter(|line| !line.is_empty()).map(line);
    let counted: Vec<Counted> = counted.collect::<Option<_>>()?;
    let (passed, failed) = numbers(rest.lines().next()?)?;
    let adds_up = passed == counted.iter().map(|of| of.passed).sum::<u32>()
        && failed == counted.iter().map(|of| of.failed).sum::<u32>();
    adds_up.then_some(counted)
}

/// Such as `✓ ping: 2 passed, 0 failed`.
fn line(line: &str) -> Option<Counted> {
    let (_mark, line) = line.split_once(' ')?;
    let (scenario, counts) = line.rsplit_once(": ")?;
    let (passed, failed) = numbers(counts)?;
    Some(Counted {
        scenario: scenario.to_owned(),
        passed,
        failed,
    })
}

/// Such as `2 passed, 0 failed`, with warnings or without.
fn numbers(counts: &str) -> Option<(u32, u32)> {
    let (passed, rest) = counts.split_once(" passed, ")?;
    let (failed, rest) = rest.split_once(" failed")?;
    let is_whole = rest.is_empty() || (rest.starts_with(", ") && rest.ends_with(" warnings"));
    is_whole.then_some((passed.parse().ok()?, failed.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Running requirements 2025-11-25 (2 scenarios) against http://127.0.0.1:1/mcp

=== SUMMARY ===
✓ ping: 2 passed, 0 failed
✗ tools-call-sampling: 1 passed, 3 failed

Total: 3 passed, 3 failed

Not scored for 2025-11-25: 1 scenario(s) run, 0 failing. These do not affect conformance.
";

    #[test]
    fn every_scenario_is_counted() {
        let read: Vec<String> = read(PRINTED)
            .unwrap()
            .iter()
            .map(Counted::to_string)
            .collect();
        assert_eq!(
            read,
            [
                "ping: 2 passed, 0 failed",
                "tools-call-sampling: 1 passed, 3 failed"
            ]
        );
    }

    #[test]
    fn warnings_are_neither() {
        let printed = PRINTED
            .replace("=== SUMMARY", "=== SUITE SUMMARY")
            .replace("2 passed, 0 failed\n", "2 passed, 0 failed, 1 warnings\n")
            .replace(
                "Total: 3 passed, 3 failed",
                "Total: 3 passed, 3 failed, 1 warnings",
            );
        assert_eq!(read(&printed), read(PRINTED));
    }

    #[test]
    fn what_is_broken_off_or_does_not_add_up_is_no_summary() {
        for (change, to) in [
            ("=== SUMMARY ===", "=== RESULTS ==="),
            ("Total: ", "All: "),
            ("Total: 3", "Total: 4"),
            ("3 failed\n\nTotal", "2 failed\n\nTotal"),
            ("✓ ping: 2 passed", "✓ ping: some passed"),
        ] {
            let printed = PRINTED.replacen(change, to, 1);
            assert_ne!(printed, PRINTED);
            assert_eq!(read(&printed), None, "{to}");
        }
    }
}
