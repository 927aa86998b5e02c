//! A small authorization server, and an MCP server that takes nothing but its tokens.
//!
//! Both do what they are for: clients are known or registered, codes are bound to their challenge and good once,
//! refresh tokens are rotated, tokens end. Tests change their rules while they run.

mod guarded;
mod server;

pub use guarded::{Guarded, GuardedRules, WATCHED};
pub use server::{Asked, AuthorizationServer, ServerRules};

use std::hash::{BuildHasher, Hasher, RandomState};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A listening server of the tests' own. It ends with the runtime of its test.
struct Listening {
    url: String,
    listener: TcpListener,
}

impl Listening {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        Self { url, listener }
    }

    fn serve(self, app: Router) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(axum::serve(self.listener, app).await) });
        tasks
    }
}

/// A value that nobody has had before, with a beginning that says what it is.
fn secret(kind: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{kind}-{:016x}{:016x}", random(), random())
}
