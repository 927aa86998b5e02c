//! Bad input of every kind: each is answered by a clear error, in words that are held fast here, and nothing is lost.

mod admin;
mod components;
mod floods;
mod headers;
mod messages;
mod settings;
mod stateless;
mod streams;
mod tokens;
mod upstreams;

use portcullis_tests::gateway::Gateway;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;

/// Shared by all of the topic: none of these tests changes the usual tenant.
static STAGE: Shared<Stage> = Shared::new();

async fn set() -> Stage {
    Stage::on(Gateway::configured("limits:\n  body_bytes_max: 65536\n").await).await
}
