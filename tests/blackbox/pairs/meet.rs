//! Sends every client to every server: one process of a client goes through all of its pairs, a few clients at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::clients::{CLIENTS, Client, Transport};
use super::judge::Way;
use super::rmcp;
use super::scene::Scene;
use super::servers::{SERVERS, Server};

/// Clients under way at once.
const CLIENTS_MAX: usize = 2;
/// The longest that a client may take for all of its pairs.
const BOUND: Duration = Duration::from_secs(180);
/// Steps of the long call that is waited for.
pub(super) const STEPS: usize = 3;

/// What a client has seen, by pair.
pub(super) type Seen = BTreeMap<String, Value>;

/// What every client has seen, in the order of the table.
pub(super) async fn all(scene: &Scene) -> Vec<(&'static Client, Seen)> {
    let meetings = CLIENTS
        .iter()
        .map(|client| async move { (client, one(scene, client).await) });
    stream::iter(meetings).buffered(CLIENTS_MAX).collect().await
}

async fn one(scene: &Scene, client: &'static Client) -> Seen {
    let wanted = wanted(scene, client);
    let lines = tokio::time::timeout(BOUND, lines(client, &wanted)).await;
    let lines = lines.unwrap_or_else(|_elapsed| panic!("{} took too long", client.package));
    lines
        .into_iter()
        .map(|line| (line["pair"].as_str().unwrap_or_default().to_owned(), line))
        .collect()
}

async fn lines(client: &Client, wanted: &Value) -> Vec<Value> {
    let Some(mut command) = client.command(wanted) else {
        return rmcp::lines(wanted).await;
    };
    let output = command.output().await.expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {errors}\n{text}",
        client.package
    );
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap_or_else(|error| {
        panic!(
            "{} printed no JSON: {error}\n{text}\n{errors}",
            client.package
        )
    })
}

/// Every way of a client, to every server over every transport.
pub(super) fn ways(client: &'static Client) -> impl Iterator<Item = Way> {
    let over = move |transport: &'static Transport| {
        SERVERS.iter().map(move |server| Way {
            client,
            transport: *transport,
            server,
        })
    };
    client.transports.iter().flat_map(over)
}

/// What a client is told.
fn wanted(scene: &Scene, client: &'static Client) -> Value {
    let pairs = ways(client).map(|way| {
        let Way {
            transport, server, ..
        } = way;
        let arguments = scene.fill(server.program.arguments);
        let arguments: Value = serde_json::from_str(&arguments).expect("the table has JSON");
        json!({
            "pair": key(transport, server),
            "transport": transport.key(),
            "url": scene.url(server, transport),
            "tool": server.public(server.program.tool),
            "arguments": arguments,
            "long": long(way),
        })
    });
    json!({ "token": scene.token(), "pairs": pairs.collect::<Vec<_>>() })
}

fn long(way: Way) -> Option<Value> {
    let is_able = way.client.lack.steps.is_empty();
    let tool = way.server.program.long.filter(|_| is_able)?;
    Some(json!({
        "tool": way.server.public(tool),
        "short": { "duration": 0.3, "steps": STEPS },
        "endless": endless(way),
    }))
}

/// The arguments of the call that is given up: unlike those of any other, so that what became of it can be found.
pub(super) fn endless(way: Way) -> Value {
    let of = |position: Option<usize>| position.expect("it is in its table");
    let client = of(CLIENTS
        .iter()
        .position(|other| std::ptr::eq(other, way.client)));
    let mut ways = ways(way.client);
    let number = of(ways.position(|other| {
        other.transport == way.transport && other.server.name == way.server.name
    }));
    json!({ "duration": 60 + client, "steps": 300 + number })
}

/// The name of a pair, for one client.
pub(super) fn key(transport: Transport, server: &Server) -> String {
    format!("{} to {}", transport.key(), server.name)
}
