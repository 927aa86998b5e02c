//! Guests that ask their host for more than is good: log lines, metrics, state, counters.

use super::repeat;
use crate::guests::{Policy, World};
use crate::hostile::{Aftermath, End, Guest};

const LOG: (&str, &str) = ("logging", "log");
const COUNT: (&str, &str) = ("metrics", "count");
const SET: (&str, &str) = ("state", "set");
const TAKE: (&str, &str) = ("quota", "take");

/// Log lines that one hook may write.
const LINES_MAX: usize = 16;
/// What a log line may have, with everything that the host says around it.
const LINE_BYTES_MAX: usize = 4096;
/// Metrics that a plugin may have, and series of one.
const METRICS_MAX: usize = 32;
const SERIES_MAX: usize = 500;

/// Writes the number `$i` as four letters at 33000.
const SPELL: &str = "(i32.store (i32.const 33000) (i32.add (i32.const 0x61616161)
    (i32.or (i32.or (i32.and (local.get $i) (i32.const 15)) (i32.and (i32.shl (local.get $i) (i32.const 4)) (i32.const 0xf00)))
            (i32.or (i32.and (i32.shl (local.get $i) (i32.const 8)) (i32.const 0xf0000))
                    (i32.and (i32.shl (local.get $i) (i32.const 12)) (i32.const 0xf000000))))))";

pub(super) fn family() -> Vec<Guest> {
    let mut family = of_lines();
    family.extend(of_metrics());
    family.extend(of_keys());
    family
}

fn lines(aftermath: &Aftermath, of: &str) -> Result<(), String> {
    let mine: Vec<&String> = aftermath
        .log
        .iter()
        .filter(|line| line.contains("portcullis::guest") && line.contains(of))
        .collect();
    let most = LINES_MAX * aftermath.replies.len();
    match mine.iter().map(|line| line.len()).max() {
        None => Err("none of its lines was logged".to_owned()),
        Some(bytes) if bytes > LINE_BYTES_MAX => Err(format!("a log line has {bytes} bytes")),
        Some(_) if mine.len() > most => Err(format!("{} lines were logged", mine.len())),
        Some(_) => Ok(()),
    }
}

fn of_lines() -> Vec<Guest> {
    vec![
        Guest::new("flood-of-log-lines", "writes five thousand log lines", End::Served, |name| {
            let line = "(call $log (i32.const 4) (i32.const 33000) (i32.const 5))";
            Policy::new(World::Admitter, name)
                .import(LOG, "log", "(param i32 i32 i32)")
                .fields(r#"(data (i32.const 33000) "flood")"#)
                .hook(&repeat(5_000, line))
                .component()
        })
        .proven_by(|aftermath| lines(aftermath, "flood")),
        Guest::new("log-line-of-3-mb", "writes a log line of three million bytes", End::Served, |name| {
            Policy::new(World::Admitter, name)
                .memory("64")
                .import(LOG, "log", "(param i32 i32 i32)")
                .hook(
                    "(memory.fill (i32.const 65536) (i32.const 0x77) (i32.const 3000000))
                     (call $log (i32.const 4) (i32.const 65536) (i32.const 3000000))",
                )
                .component()
        })
        .proven_by(|aftermath| lines(aftermath, "wwwwwwww")),
        Guest::new("forges-log-lines", "writes a line that looks like two, the second the host's", End::Served, |name| {
            Policy::new(World::Admitter, name)
                .import(LOG, "log", "(param i32 i32 i32)")
                .fields(r#"(data (i32.const 33000) "fine\n{\22level\22:\22ERROR\22,\22message\22:\22forged\22}\1b[31m")"#)
                .hook("(call $log (i32.const 4) (i32.const 33000) (i32.const 49))")
                .component()
        })
        .proven_by(|aftermath| {
            lines(aftermath, "forged")?;
            match aftermath.log.iter().find(|line| line.starts_with("{\"level\":\"ERROR\",\"message\":\"forged")) {
                Some(line) => Err(format!("the log says {line}")),
                None => Ok(()),
            }
        }),
    ]
}

fn series(aftermath: &Aftermath) -> usize {
    let own = aftermath.metrics.iter().filter(|line| {
        line.starts_with("portcullis_guest_")
            && !line.starts_with("portcullis_guest_samples_dropped")
    });
    own.count()
}

fn of_metrics() -> Vec<Guest> {
    vec![
        Guest::new("flood-of-labels", "counts five thousand values of one label", End::Served, |name| {
            let count = format!(
                "{SPELL} (call $count (i32.const 33100) (i32.const 5) (i64.const 1) (i32.const 33200) (i32.const 1))"
            );
            Policy::new(World::Admitter, name)
                .import(COUNT, "count", "(param i32 i32 i64 i32 i32)")
                .fields(r#"(data (i32.const 33100) "deeds") (data (i32.const 33120) "label")"#)
                .hook(&format!(
                    "(i32.store (i32.const 33200) (i32.const 33120)) (i32.store (i32.const 33204) (i32.const 5))
                     (i32.store (i32.const 33208) (i32.const 33000)) (i32.store (i32.const 33212) (i32.const 4)) {}",
                    repeat(5_000, &count)
                ))
                .component()
        })
        .granted(&["metrics"])
        .proven_by(|aftermath| match series(aftermath) {
            0 => Err("nothing was counted".to_owned()),
            1..=SERIES_MAX => Ok(()),
            more => Err(format!("{more} series")),
        }),
        Guest::new("flood-of-metrics", "makes five thousand counters", End::Served, |name| {
            let count = format!(
                "{SPELL} (call $count (i32.const 33000) (i32.const 4) (i64.const 1) (i32.const 0) (i32.const 0))"
            );
            Policy::new(World::Admitter, name)
                .import(COUNT, "count", "(param i32 i32 i64 i32 i32)")
                .hook(&repeat(5_000, &count))
                .component()
        })
        .granted(&["metrics"])
        .proven_by(|aftermath| match series(aftermath) {
            0 => Err("nothing was counted".to_owned()),
            1..=METRICS_MAX => Ok(()),
            more => Err(format!("{more} counters")),
        }),
    ]
}

fn of_keys() -> Vec<Guest> {
    vec![
        Guest::new("flood-of-state", "keeps two thousand values of 10 kB", End::Served, |name| {
            let set = format!(
                "{SPELL} (call $set (i32.const 33000) (i32.const 4) (i32.const 0) (i32.const 10000) (i32.const 0) (i64.const 0) (i32.const 33100))"
            );
            Policy::new(World::Admitter, name)
                .import(SET, "set", "(param i32 i32 i32 i32 i32 i64 i32)")
                .hook(&repeat(2_000, &set))
                .component()
        })
        .granted(&["state"]),
        Guest::new("flood-of-counters", "takes from a hundred and fifty thousand counters at once", End::Call("output"), |name| {
            Policy::new(World::Admitter, name)
                .memory("120")
                .import(TAKE, "take", "(param i32 i32 i32)")
                .hook("(call $take (i32.const 65536) (i32.const 150000) (i32.const 33000))")
                .component()
        })
        .granted(&["quota"]),
    ]
}
