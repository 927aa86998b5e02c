//! The client under test, as the suite starts it for each of its scenarios: the gateway, and somebody who calls through it.
//!
//! The scenario's server becomes the upstream of a tenant of its own. Where the gateway waits for a person's consent, an
//! operator gives it, and the caller comes again. What the suite finds is said by the suite.
#![allow(
    clippy::indexing_slicing,
    reason = "what is absent of a JSON value reads as null, and a driver stops with what it saw"
)]

mod caller;
mod consent;
mod task;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_tests::admin::{Admin, Tenant};
use portcullis_tests::gateway::Gateway;
use serde_json::json;

use caller::Caller;
use task::Task;

/// The upstream's name.
const UPSTREAM: &str = "scenario";
/// How often an operator consents before giving up.
const CONSENTS_MAX: usize = 4;

/// A gateway to drive; handed on by variables.
pub struct UnderTest {
    gateway: String,
    admin: String,
    token: String,
}

impl UnderTest {
    const VARIABLES: [&'static str; 3] = [
        "PORTCULLIS_CONFORMANCE_GATEWAY",
        "PORTCULLIS_CONFORMANCE_ADMIN",
        "PORTCULLIS_CONFORMANCE_TOKEN",
    ];

    /// A gateway that runs.
    pub fn of(gateway: &Gateway) -> Self {
        Self {
            gateway: gateway.url().to_owned(),
            admin: gateway.admin_url().to_owned(),
            token: gateway.admin_token().to_owned(),
        }
    }

    /// What the processes that the suite starts find it by.
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        let [gateway, admin, token] = Self::VARIABLES;
        [
            (gateway, &self.gateway),
            (admin, &self.admin),
            (token, &self.token),
        ]
    }

    fn of_environment() -> Option<Self> {
        let [gateway, admin, token] = Self::VARIABLES.map(|name| task::variable(name).ok());
        Some(Self {
            gateway: gateway?,
            admin: admin?,
            token: token?,
        })
    }
}

/// Goes through the scenario whose server is at `url`.
pub async fn run(url: &str) -> ExitCode {
    let Some(under_test) = UnderTest::of_environment() else {
        eprintln!("the suite starts this, for a gateway that was started before");
        return ExitCode::from(2);
    };
    let task = Task::of_environment();
    let admin = Admin::new(&under_test.admin, &under_test.token);
    let name = unique();
    let tenant = admin.tenant(&name).await;
    tenant.upstream(UPSTREAM, task.upstream(url)).await;
    let server = json!({ "upstreams": [{ "name": UPSTREAM }], "naming": "plain" });
    tenant.server_spec(&name, server).await;
    let anyone = json!({ "anonymous": true, "bindings": [] });
    admin.put(&tenant.path("/policies"), &anyone).await.ok();

    let endpoint = format!("{}/servers/{name}/mcp", under_test.gateway);
    let gone = go(&task, &endpoint, (&admin, &tenant)).await;
    // The scenario's server ends when its last connection does.
    admin.delete(&tenant.path("")).await.ok();
    match gone {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn go(task: &Task, endpoint: &str, (admin, tenant): (&Admin, &Tenant)) -> Result<(), String> {
    for _ in 0..CONSENTS_MAX {
        let caller = Caller::connect(task, endpoint).await;
        let used = caller.use_everything(task).await;
        caller.leave().await;
        let Err(why) = used else {
            return Ok(());
        };
        if !task.is_about_authorization() {
            return Err(why);
        }
        let given = consent::give(admin, tenant, UPSTREAM).await;
        given.map_err(|no| format!("{why} {no}"))?;
    }
    Err("no consent is ever enough".to_owned())
}

/// A name that no other scenario has.
fn unique() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("c{}-{}", std::process::id(), since.as_micros())
}
