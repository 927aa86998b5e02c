//! `target/conformance/report.json`: the outcome for programs. `table` tells it to people.

use std::io::Error;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::suite::Remark;
use crate::verdict::Verdict;

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct ReportError {
    path: PathBuf,
    source: Error,
}

/// Writes `report.json` and returns its path.
pub fn write(folder: &Path, verdicts: &[Verdict]) -> Result<PathBuf, ReportError> {
    let path = folder.join("report.json");
    let aside = folder.join("report.json.new");
    let text = format!("{:#}\n", document(verdicts));
    // Written aside first: who reads meanwhile sees the old report or the new one.
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, &path))
        .map_err(|source| ReportError {
            path: path.clone(),
            source,
        })?;
    Ok(path)
}

fn document(verdicts: &[Verdict]) -> Value {
    let ways = verdicts.chunk_by(|one, next| one.way == next.way);
    let ways = ways.filter_map(|of_way| {
        let revisions = of_way
            .iter()
            .map(|verdict| (verdict.era.revision().to_owned(), entry(verdict)));
        let name = of_way.first()?.way.name();
        Some((name.to_owned(), Value::Object(revisions.collect())))
    });
    Value::Object(ways.collect::<Map<_, _>>())
}

fn entry(verdict: &Verdict) -> Value {
    let skipped = verdict.skipped.iter();
    let skipped = skipped.map(|of| json!({ "scenario": of.scenario, "why": of.why }));
    let remarks = |of: &[(String, Remark)]| -> Vec<Value> {
        let remarks = of.iter().map(|(scenario, remark)| {
            json!({ "scenario": scenario, "check": remark.check, "message": remark.message })
        });
        remarks.collect()
    };
    json!({
        "passed": verdict.passed,
        "failed": verdict.failed,
        "skipped": skipped.collect::<Vec<_>>(),
        "passed_min": verdict.passed_min(),
        "failures": remarks(&verdict.failures),
        "left_out": remarks(&verdict.left_out),
        "warnings": remarks(&verdict.warnings),
        "passed_after_all": verdict.passed_after_all,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_tests::mcp::Era;

    use crate::options::Way;
    use crate::suite::Scenario;

    use super::*;

    #[test]
    fn the_report_is_a_tree_of_ways_and_revisions() {
        let said = |message: &str| Remark {
            check: "a-check".to_owned(),
            message: message.to_owned(),
        };
        let scenario = |name: &str, passed, failures: &[Remark], left_out: &[Remark]| Scenario {
            name: name.to_owned(),
            passed,
            failed: u32::try_from(failures.len()).unwrap(),
            failures: failures.to_vec(),
            left_out: left_out.to_vec(),
            warnings: Vec::new(),
        };
        let verdicts = [
            Verdict::of(
                Way::Direct,
                Era::Session,
                vec![scenario("ping", 84, &[], &[])],
            ),
            Verdict::of(
                Way::Direct,
                Era::Stateless,
                vec![
                    scenario("ping", 9, &[said("no answer")], &[said("no time")]),
                    scenario("tasks", 0, &[], &[said("not yet")]),
                ],
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &verdicts).unwrap();
        let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let remark =
            |message| json!([{ "scenario": "ping", "check": "a-check", "message": message }]);
        let want = json!({ "direct": {
            "2025-11-25": {
                "passed": 84, "failed": 0, "skipped": [],
                "passed_min": 83, "failures": [], "left_out": [], "warnings": [], "passed_after_all": [],
            },
            "2026-07-28": {
                "passed": 9, "failed": 1,
                "skipped": [{ "scenario": "tasks", "why": "the suite does not check it: not yet" }],
                "passed_min": 197, "failures": remark("no answer"), "left_out": remark("no time"), "warnings": [], "passed_after_all": [],
            },
        } });
        assert_eq!(read, want);
    }
}
