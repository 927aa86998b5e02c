//! `target/hostile/report.json`, and the table that is printed.

use std::path::{Path, PathBuf};

use portcullis_tests::hostile::Guest;
use serde_json::{Map, Value, json};

use crate::arena::{Course, Meeting, has_grown};

/// The bound on a bystander's 99th percentile, as a multiple of what it is alone.
pub const P99_RATIO_MAX: f64 = 1.2;

/// One guest over all courses.
pub struct Row {
    name: &'static str,
    deed: &'static str,
    expected: String,
    actual: String,
    contained_ms: f64,
    /// For each course: the 99th percentile and the throughput beside the guest, as multiples of those alone.
    ratios: Vec<[f64; 2]>,
    failed: usize,
}

impl Row {
    /// Whether it ended where it must, and cost nobody an answer.
    pub fn is_contained(&self) -> bool {
        self.expected == self.actual && self.failed == 0
    }

    /// The worst 99th percentile.
    pub fn p99_ratio(&self) -> f64 {
        self.ratios.iter().map(|[p99, _]| *p99).fold(0.0, f64::max)
    }
}

/// The corpus's rows.
pub fn rows(guests: &[Guest], courses: &[Course]) -> Vec<Row> {
    let row = |(index, guest): (usize, &Guest)| {
        let mut actual: Vec<String> = Vec::new();
        let (mut ratios, mut contained_ms, mut failed) = (Vec::new(), 0.0_f64, 0);
        for course in courses {
            let Some(meeting) = course.meetings.get(index) else {
                continue;
            };
            actual.push(meeting.actual.clone());
            contained_ms = contained_ms.max(meeting.contained_ms);
            failed += meeting.beside.failed + meeting.alone.failed;
            ratios.push(ratio(course, index, meeting));
        }
        actual.dedup();
        Row {
            name: guest.name,
            deed: guest.deed,
            expected: guest.end.to_string(),
            actual: actual.join(" / "),
            contained_ms,
            ratios,
            failed,
        }
    };
    guests.iter().enumerate().map(row).collect()
}

/// Beside a guest, over the mean of the windows before and after it.
#[allow(clippy::cast_precision_loss, reason = "microseconds, far below 2^52")]
fn ratio(course: &Course, index: usize, meeting: &Meeting) -> [f64; 2] {
    let next = course
        .meetings
        .get(index + 1)
        .map_or(&course.last, |next| &next.alone);
    let alone_us = (meeting.alone.p99_us() as f64).midpoint(next.p99_us() as f64);
    let alone_rps = meeting.alone.rps().midpoint(next.rps());
    [
        meeting.beside.p99_us() as f64 / alone_us.max(1.0),
        meeting.beside.rps() / alone_rps.max(1.0),
    ]
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Writes the report, with what `metering.json` beside it says of deadlines and of metering's price.
pub fn write(folder: &Path, rows: &[Row], courses: &[Course]) -> std::io::Result<PathBuf> {
    let guests: Vec<Value> = rows.iter().map(|row| guest(row, courses)).collect();
    let mut report = Map::new();
    report.insert("guests".to_owned(), guests.into());
    for course in courses {
        let [before, after] = course.resident_bytes;
        let failed: usize = course
            .meetings
            .iter()
            .map(|one| one.alone.failed + one.beside.failed)
            .sum();
        let key = name(course);
        let of_course = json!({
            "resident_bytes_before": before, "resident_bytes_after": after, "bystander_failed": failed,
        });
        report.insert(key, of_course);
    }
    if let Ok(metering) = std::fs::read(folder.join("metering.json")) {
        report.insert("metering".to_owned(), serde_json::from_slice(&metering)?);
    }
    std::fs::create_dir_all(folder)?;
    let path = folder.join("report.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&report)?)?;
    Ok(path)
}

fn name(course: &Course) -> String {
    format!("on_{}_processors", course.processors.count)
}

fn guest(row: &Row, courses: &[Course]) -> Value {
    let mut guest: Map<String, Value> = [
        ("name", json!(row.name)),
        ("deed", json!(row.deed)),
        ("expected", json!(row.expected)),
        ("actual", json!(row.actual)),
        ("contained_ms", json!(rounded(row.contained_ms))),
        ("bystander_p99_ratio", json!(rounded(row.p99_ratio()))),
        ("bystander_failed", json!(row.failed)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect();
    for (course, [p99, rps]) in courses.iter().zip(&row.ratios) {
        let of_course = json!({
            "bystander_p99_ratio": rounded(*p99), "bystander_throughput_ratio": rounded(*rps),
        });
        guest.insert(name(course), of_course);
    }
    guest.into()
}

/// The table.
pub fn table(rows: &[Row], courses: &[Course]) -> String {
    let mut text = format!(
        "{:<28} {:<28} {:>12} {:>12} {:>8}\n",
        "guest", "ended", "contained ms", "p99 ratio", "failed"
    );
    for row in rows {
        let mark = if row.is_contained() {
            ""
        } else {
            "  NOT CONTAINED"
        };
        let ratios: Vec<String> = row
            .ratios
            .iter()
            .map(|[p99, _]| format!("{p99:.2}"))
            .collect();
        text += &format!(
            "{:<28} {:<28} {:>12.1} {:>12} {:>8}{mark}\n",
            row.name,
            row.actual,
            row.contained_ms,
            ratios.join(" / "),
            row.failed
        );
    }
    let contained = rows.iter().filter(|row| row.is_contained()).count();
    let undisturbed = rows
        .iter()
        .filter(|row| row.p99_ratio() <= P99_RATIO_MAX)
        .count();
    text += &format!(
        "\n{contained} of {} contained; beside {undisturbed} of them the other tenant's p99 is at most {P99_RATIO_MAX} of what it is alone\n",
        rows.len()
    );
    for course in courses {
        let [before, after] = course.resident_bytes;
        let grown = if has_grown(before, after) {
            ": MORE THAN 5 %"
        } else {
            ""
        };
        text += &format!(
            "{}: {before} bytes resident before, {after} after{grown}\n",
            name(course)
        );
    }
    text
}
