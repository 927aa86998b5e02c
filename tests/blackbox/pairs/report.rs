//! What was observed: `target/pairs/report.json` for programs, and the table of the documents for people.

use std::fmt::Write as _;
use std::path::Path;

use portcullis_tests::places;
use serde_json::{Map, Value, json};

use super::clients::{CLIENTS, Client, Transport};
use super::judge::{Outcome, Pair};
use super::servers::{SERVERS, Server};
use super::{Lack, Step};

/// What stands around the table in the documents.
const MARKS: [&str; 2] = [
    "<!-- Written by `make pairs`. -->\n",
    "<!-- The end of what it writes. -->",
];

/// Writes `report.json`, and the table beside it.
pub(super) fn write(folder: &Path, pairs: &[Pair]) {
    std::fs::create_dir_all(folder).expect("a folder for the report");
    let entries: Vec<Value> = pairs.iter().map(entry).collect();
    let files = [
        ("report.json", format!("{:#}\n", json!(entries))),
        ("table.md", table(pairs)),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("the report can be written");
    }
}

fn entry(pair: &Pair) -> Value {
    let steps = pair.outcomes.iter().map(|(step, outcome)| {
        let outcome = match outcome {
            Outcome::Done => json!("done"),
            Outcome::Lacking(why) => json!({ "lacking": why }),
            Outcome::Failed(why) => json!({ "failed": why }),
        };
        (step.name().to_owned(), outcome)
    });
    let way = &pair.way;
    json!({
        "client": from(way.client.package, way.client.pinned_in),
        "transport": way.transport.name(),
        "revision": way.transport.era().revision(),
        "server": from(way.server.program.package, way.server.program.pinned_in),
        "server_transport": way.server.over.name(),
        "steps": steps.collect::<Map<_, _>>(),
    })
}

/// The documents with this table in the place of theirs.
pub(super) fn within(documents: &str, table: &str) -> String {
    let [begin, end] = MARKS;
    let (before, rest) = documents.split_once(begin).expect("where the table begins");
    let (_, after) = rest.split_once(end).expect("where the table ends");
    format!("{before}{begin}\n{table}\n{end}{after}")
}

/// A row for each client and transport, a column for each server, and why steps are missing.
pub(super) fn table(pairs: &[Pair]) -> String {
    let mut text = String::from("| Client | Speaks | Revision |");
    for server in &SERVERS {
        let program = server.program;
        let name = named(program.package, program.pinned_in);
        let name = name.trim_start_matches("@modelcontextprotocol/");
        write!(text, " {name}, {} |", server.over.name()).expect("a text");
    }
    text.push_str("\n|---|---|---|");
    text.push_str(&"---|".repeat(SERVERS.len()));
    for client in &CLIENTS {
        for transport in client.transports {
            text.push_str(&row(client, *transport, pairs));
        }
    }
    text.push_str("\n\n");
    text.push_str(&lacks());
    text
}

fn row(client: &Client, transport: Transport, pairs: &[Pair]) -> String {
    let name = from(client.package, client.pinned_in);
    let revision = transport.era().revision();
    let mut row = format!("\n| {name} | {} | {revision} |", transport.name());
    for server in &SERVERS {
        let mut met = pairs.iter().filter(|pair| {
            let way = &pair.way;
            std::ptr::eq(way.client, client)
                && way.transport == transport
                && way.server.name == server.name
        });
        write!(row, " {} |", met.next().map(cell).unwrap_or_default()).expect("a text");
    }
    row
}

fn cell(pair: &Pair) -> String {
    let marks = pair.outcomes.iter().map(|(_, outcome)| match outcome {
        Outcome::Done => '✓',
        Outcome::Lacking(_) => '–',
        Outcome::Failed(_) => '✗',
    });
    marks.collect()
}

/// Who cannot do what, and why: a line for each reason.
fn lacks() -> String {
    let of_clients = CLIENTS.iter().map(|client| (client.package, &client.lack));
    let mut reasons: Vec<(&Lack, Vec<&str>)> = Vec::new();
    for (package, lack) in of_clients.chain(SERVERS.iter().map(of_server)) {
        if lack.steps.is_empty() {
            continue;
        }
        match reasons.iter_mut().find(|(known, _)| known.why == lack.why) {
            Some((_, packages)) => packages.push(package),
            None => reasons.push((lack, vec![package])),
        }
    }
    let lines = reasons.iter().map(|(lack, packages)| {
        let steps: Vec<&str> = lack.steps.iter().map(|step| step.name()).collect();
        let (packages, steps) = (packages.join("`, `"), steps.join(", "));
        format!("- `{packages}`: no {steps}, since {}.\n", lack.why)
    });
    lines.collect()
}

fn of_server(server: &'static Server) -> (&'static str, &'static Lack) {
    (server.program.package, &server.program.lack)
}

/// A package with the registry that it comes from.
fn from(package: &str, pinned_in: &str) -> String {
    let registry = match pinned_in.rsplit('/').next() {
        Some("package.json") => "npm",
        Some("Cargo.lock") => "crates.io",
        _ => "PyPI",
    };
    format!("{registry} {}", named(package, pinned_in))
}

/// A package and its version, which is pinned in a file of npm, pip or cargo.
fn named(package: &str, pinned_in: &str) -> String {
    let file = std::fs::read_to_string(places::root().join(pinned_in)).expect("a lock");
    let npm = format!("\"{package}\": \"");
    let (pip, cargo) = (
        format!("\n{package}=="),
        format!("name = \"{package}\"\nversion = \""),
    );
    let after = [npm, pip, cargo]
        .iter()
        .find_map(|before| file.split_once(before.as_str()));
    let (_, after) = after.unwrap_or_else(|| panic!("{pinned_in} pins no {package}"));
    let version = after.split(['"', '\n']).next().unwrap_or_default();
    format!("{package} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_another() {
        let [begin, end] = MARKS;
        let old = format!("# Title\n\n{begin}\n| old |\n\n{end}\n\nMore.\n");
        let new = within(&old, "| new |\n");
        assert_eq!(new, old.replace("old", "new"));
        assert_eq!(within(&new, "| new |\n"), new);
    }

    #[test]
    fn every_version_is_found_where_it_is_pinned() {
        for client in &CLIENTS {
            let name = named(client.package, client.pinned_in);
            let version = name.rsplit(' ').next().unwrap_or_default();
            let numbers: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
            assert!(
                numbers.len() == 3 && numbers.iter().all(Result::is_ok),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_missing_has_a_reason() {
        let lacks = CLIENTS.iter().map(|client| &client.lack);
        for lack in lacks.chain(SERVERS.iter().map(|server| of_server(server).1)) {
            assert_eq!(lack.steps.is_empty(), lack.why.is_empty(), "{}", lack.why);
            assert!(
                !lack
                    .steps
                    .iter()
                    .any(|step| [Step::Open, Step::List, Step::Call].contains(step))
            );
        }
    }
}
