//! One client's walk through everything that the protocol has, from one door to one kind of upstream.

use portcullis_tests::doors::{Client, Door};
use portcullis_tests::mcp::Era;
use serde_json::{Value, json};

use super::behind::Behind;
use super::ledger::Ledger;
use super::table::{self, Way, row};

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";
const WATCHED: &str = "test://watched-resource";

pub struct Walk {
    name: String,
    behind: Behind,
    client: Client,
    ledger: Ledger,
}

impl Walk {
    pub fn new(name: String, behind: Behind, client: Client, ledger: Ledger) -> Self {
        Self {
            name,
            behind,
            client,
            ledger,
        }
    }

    fn era(&self) -> Era {
        self.client.door.era()
    }

    /// Everything, in order.
    pub async fn all(mut self) {
        self.requests().await;
        self.notifications().await;
        self.told_in_a_call().await;
        if self.behind.asks(self.era()) {
            self.asked().await;
        }
        match self.era() {
            Era::Session => self.pushed().await,
            Era::Stateless => self.listened().await,
        }
        if self.behind.spoken(self.era()) == Era::Stateless && self.era() == Era::Stateless {
            self.task().await;
        }
        self.end().await;
    }

    async fn settles(&self, step: &str) {
        let step = format!("{}: {step}", self.name);
        self.ledger.settles(&step, &[&self.client.heard]).await;
    }

    /// Sends a request; its answer is a result.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.client.request(method, params).await;
        assert!(
            answer["result"].is_object(),
            "{}: {method}: {answer}",
            self.name
        );
        self.ledger.requested(method, &answer);
        answer
    }

    async fn tool(&mut self, name: &str, arguments: Value) -> Value {
        self.call(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
        .await
    }

    async fn requests(&mut self) {
        for method in table::methods(self.era()) {
            let (way, params) = row(method);
            match way {
                Way::Listed | Way::Offered => drop(self.call(method, params).await),
                // A task that is nobody's goes nowhere; another one comes later. So does what is listened to.
                Way::Tasked => {
                    self.client.request(method, params).await;
                    self.ledger.arrives(Some(method));
                }
                Way::Here if *method == "subscriptions/listen" => {}
                // Of a batch it is no part: that is known before it would be admitted.
                Way::Here if (self.client.door, *method) == (Door::Batch, "initialize") => {
                    self.client.request(method, params).await;
                    self.ledger.fires("authenticate", Some(method), 1);
                }
                // Once a session is enough; on a channel a second one is refused, elsewhere it is another session.
                Way::Here => {
                    let answer = self.client.request(method, params).await;
                    self.ledger.requested(method, &answer);
                }
            }
            self.settles(method).await;
        }
        self.client
            .request("tools/call", json!({ "name": "up__nothing" }))
            .await;
        self.ledger.arrives(Some("tools/call"));
        self.settles("a tool that is not there").await;
    }

    async fn notifications(&mut self) {
        for (method, params) in table::notifications(self.era()) {
            self.client.notify(method, params).await;
            self.ledger.arrives(Some(method));
            self.settles(method).await;
        }
        if self.era() == Era::Session {
            self.client
                .answer(&json!({ "id": "nothing" }), json!({}))
                .await;
            self.ledger.arrives(None);
            self.settles("an answer to nothing").await;
        }
    }

    /// Progress and logs that come before a result.
    async fn told_in_a_call(&mut self) {
        let progress = json!({ "name": "up__progress", "arguments": { "steps": 3, "step_ms": 1 },
            "_meta": { "progressToken": "p" } });
        self.call("tools/call", progress).await;
        self.tool("up__test_tool_with_logging", json!({})).await;
        self.settles("progress and logs").await;
        let heard = ["notifications/progress", "notifications/message"]
            .map(|method| self.client.heard.of(method).len());
        let logs = if self.behind.logs(self.era()) { 3 } else { 0 };
        assert_eq!(heard, [3, logs], "{}", self.name);
    }

    /// What upstreams ask of clients, and what clients answer.
    async fn asked(&mut self) {
        for (tool, arguments, method, answer) in table::questions() {
            let params = json!({ "name": tool, "arguments": arguments });
            match self.era() {
                Era::Session => self.asked_by_request(params, (method, answer)).await,
                Era::Stateless => self.asked_in_result(params, (method, answer)).await,
            }
            self.settles(method).await;
        }
    }

    async fn asked_by_request(&mut self, params: Value, (method, answer): (&str, Value)) {
        let before = self.client.heard.of(method).len();
        let call = self.client.ask("tools/call", params).await;
        let question = self.client.heard.nth(method, before).await;
        self.client.answer(&question, answer).await;
        self.ledger.arrives(None);
        let answered = self.client.heard.answer(&call).await;
        assert!(
            answered["result"]["content"].is_array(),
            "{}: {answered}",
            self.name
        );
        self.ledger.requested("tools/call", &answered);
    }

    async fn asked_in_result(&mut self, mut params: Value, (method, answer): (&str, Value)) {
        let asked = self.client.request("tools/call", params.clone()).await;
        let result = &asked["result"];
        assert_eq!(
            result["resultType"], "input_required",
            "{}: {asked}",
            self.name
        );
        let questions = result["inputRequests"].as_object().expect("questions");
        let (key, question) = questions.iter().next().expect("a question");
        assert_eq!(question["method"], method, "{}", self.name);
        params["inputResponses"] = json!({ key: answer });
        params["requestState"] = result["requestState"].clone();
        let answered = self.client.request("tools/call", params).await;
        assert!(
            answered["result"]["content"].is_array(),
            "{}: {answered}",
            self.name
        );
        match self.behind.spoken(Era::Stateless) {
            Era::Stateless => {
                self.ledger.requested("tools/call", &asked);
                self.ledger.requested("tools/call", &answered);
            }
            // The upstream is in the middle of one call: routed once, answered once. The client has sent two.
            Era::Session => {
                self.ledger.requested("tools/call", &answered);
                self.ledger.arrives(Some("tools/call"));
                self.ledger.fires("transform-call", Some("tools/call"), 1);
                self.ledger.asked(method);
            }
        }
    }

    /// What belongs to no call, for a session.
    async fn pushed(&mut self) {
        self.call("resources/subscribe", json!({ "uri": WATCHED }))
            .await;
        self.changes().await;
    }

    /// The same, for a client that listens.
    async fn listened(&mut self) {
        const METHOD: &str = "subscriptions/listen";
        let listening = self.client.ask(METHOD, row(METHOD).1).await;
        self.ledger.arrives(Some(METHOD));
        self.client
            .heard
            .first("notifications/subscriptions/acknowledged")
            .await;
        self.changes().await;
        match self.client.door {
            Door::WebSocketStateless => {
                let cancelled = json!({ "requestId": listening });
                self.client
                    .notify("notifications/cancelled", cancelled)
                    .await;
                self.ledger.arrives(Some("notifications/cancelled"));
            }
            Door::Http | Door::HttpStateless | Door::Batch | Door::Sse | Door::WebSocket => {
                self.client.let_go();
            }
        }
    }

    /// Makes a resource and a list change, and hears of it.
    async fn changes(&mut self) {
        if !self.behind.pushes(self.era()) {
            return;
        }
        // An upstream without sessions may begin to watch when the client has its answer already.
        let mut touched = 0;
        while self.client.heard.of(UPDATED).is_empty() {
            touched += 1;
            assert!(touched < 1_000, "{}: nothing is heard", self.name);
            self.tool("up__touch_resource", json!({ "uri": WATCHED }))
                .await;
        }
        self.settles(UPDATED).await;
        if self.behind.tells_of_lists() {
            self.tool("up__test_trigger_tool_change", json!({})).await;
            self.client.heard.first(TOOLS_CHANGED).await;
            self.settles(TOOLS_CHANGED).await;
        }
    }

    /// Work that outlives its call.
    async fn task(&mut self) {
        let begun = self
            .tool("up__slow_compute", json!({ "seconds": 60 }))
            .await;
        let id = begun["result"]["taskId"].as_str();
        let id = id.unwrap_or_else(|| panic!("{}: no task: {begun}", self.name));
        for method in ["tasks/get", "tasks/cancel"] {
            self.call(method, json!({ "taskId": id })).await;
            self.settles(method).await;
        }
    }

    async fn end(mut self) {
        if let Some(status) = self.client.end().await {
            assert_eq!(status, 204, "{}", self.name);
            self.ledger.arrives(None);
        }
        self.settles("the end").await;
    }
}
