//! Real clients and real servers, everyone with everyone, through a gateway with policies: `docs/compatibility.md`.
//!
//! `clients` and `servers` are the tables: who there is, how each is reached, and what each lacks, with the reason. `scene`
//! starts the servers behind a gateway, `meet` sends every client to all of them, `judge` holds what they saw against what
//! was to be seen, `report` tells it to programs and to people. What people read stands in the documents: the test
//! fails when it is not what was observed.

use std::path::PathBuf;

use portcullis_tests::places;

mod clients;
mod judge;
mod meet;
mod report;
mod rmcp;
mod scene;
mod servers;

use judge::Pair;
use scene::Scene;

/// What a client does with a server, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// `initialize` or `server/discover`.
    Open,
    /// The list of tools: with the one that is called, without the one that policy withholds.
    List,
    /// A call, and its result as policy lets it through.
    Call,
    /// A long call that tells how far it is.
    Progress,
    /// A call that is given up: it ends for the client, the server is told, and the connection serves the next one.
    Cancel,
}

impl Step {
    const ALL: [Self; 5] = [
        Self::Open,
        Self::List,
        Self::Call,
        Self::Progress,
        Self::Cancel,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Call => "call",
            Self::Progress => "progress",
            Self::Cancel => "cancel",
        }
    }
}

/// What some client or server cannot do, and why.
struct Lack {
    steps: &'static [Step],
    why: &'static str,
}

/// Set, it has the documents rewritten: `make pairs`.
const WRITE: &str = "PORTCULLIS_PAIRS_WRITE";

#[tokio::test]
async fn everyone_meets_everyone() {
    let scene = Scene::set().await;
    let mut pairs = Vec::new();
    for (client, seen) in meet::all(&scene).await {
        for way in meet::ways(client) {
            pairs.push(Pair::of(&scene, way, &seen).await);
        }
    }
    report::write(&places::target().join("pairs"), &pairs);
    let failures: Vec<String> = pairs.iter().flat_map(Pair::failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let path = documents();
    let text = std::fs::read_to_string(&path).expect("the documents");
    let table = report::table(&pairs);
    let observed = report::within(&text, &table);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &observed).expect("the documents can be written");
    }
    let same = std::fs::read_to_string(&path).expect("the documents") == observed;
    assert!(same, "{}: run `make pairs`:\n{table}", path.display());
}

fn documents() -> PathBuf {
    places::root().join("docs/compatibility.md")
}
