//! What has to be counted of one tenant's messages, held against what its guest has counted.

use std::collections::BTreeMap;
use std::time::Instant;

use portcullis_tests::admin::Admin;
use portcullis_tests::heard::Heard;
use serde_json::Value;

use super::table::{Way, row};

/// How often a hook was asked: by `hook method direction`.
type Fired = BTreeMap<String, u64>;

/// The gateway's own answer to a request to listen: part of the reply, and no message of an upstream's.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// The books of one tenant.
pub struct Ledger {
    admin: Admin,
    tenant: String,
    want: Fired,
}

impl Ledger {
    pub fn of(admin: Admin, tenant: &str) -> Self {
        Self {
            admin,
            tenant: tenant.to_owned(),
            want: Fired::new(),
        }
    }

    /// A hook is asked so often about messages on their way up.
    pub fn fires(&mut self, hook: &str, method: Option<&str>, times: u64) {
        self.note(hook, method.unwrap_or("none"), "up", times);
    }

    /// A message arrives and is let through. Those of the transport, and answers, have no method.
    pub fn arrives(&mut self, method: Option<&str>) {
        self.fires("authenticate", method, 1);
        self.fires("admit", method, 1);
    }

    /// A request has been answered like this.
    pub fn requested(&mut self, method: &str, answer: &Value) {
        let has_result = u64::from(answer.get("result").is_some());
        let hooks: &[(&str, u64)] = match row(method).0 {
            Way::Here => &[],
            Way::Listed => &[("transform-listing", 1)],
            Way::Offered => &[
                ("route", 1),
                ("transform-call", 1),
                ("transform-reply", has_result),
            ],
            Way::Tasked => &[("transform-call", 1), ("transform-reply", has_result)],
        };
        self.arrives(Some(method));
        for (hook, times) in hooks {
            self.fires(hook, Some(method), *times);
        }
    }

    /// The chain is asked about a message on its way down that is not heard: what a client without sessions is asked in a
    /// result, or what is refused.
    pub fn asked(&mut self, method: &str) {
        self.note("admit", method, "down", 1);
    }

    fn note(&mut self, hook: &str, method: &str, direction: &str, times: u64) {
        if times > 0 {
            let series = format!("{hook} {method} {direction}");
            *self.want.entry(series).or_default() += times;
        }
    }

    /// Waits until everything that was sent and heard is counted, once, and nothing else. What is counted too often, or
    /// too late, is seen by the next step.
    pub async fn settles(&self, step: &str, heard: &[&Heard]) {
        let give_up = Instant::now() + portcullis_tests::wait::BOUND / 4;
        loop {
            let (counted, want) = (self.counted().await, self.wanted(heard));
            if counted == want {
                return;
            }
            let is_late = Instant::now() > give_up;
            assert!(
                !is_late,
                "{step}: counted and not wanted {:?}; wanted and not counted {:?}",
                beyond(&counted, &want),
                beyond(&want, &counted)
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Every message that its clients hear of an upstream has been admitted, once.
    fn wanted(&self, heard: &[&Heard]) -> Fired {
        let mut want = self.want.clone();
        for message in heard.iter().flat_map(|heard| heard.messages()) {
            if let Some(method) = message["method"]
                .as_str()
                .filter(|method| *method != ACKNOWLEDGED)
            {
                *want.entry(format!("admit {method} down")).or_default() += 1;
            }
        }
        want
    }

    async fn counted(&self) -> Fired {
        let metrics = self.admin.metrics().await;
        let tenant = format!("tenant=\"{}\"", self.tenant);
        let own = metrics.0.lines().filter(|line| {
            line.starts_with("portcullis_guest_fired_total{")
                && line.contains(&tenant)
                && line.contains("plugin=\"prober\"")
        });
        own.map(|line| {
            let label = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\"")).expect("a label");
                rest.split('"').next().expect("its value").to_owned()
            };
            let series = [label("hook"), label("method"), label("direction")].join(" ");
            let count = line.rsplit(' ').next().and_then(|count| count.parse().ok());
            (series, count.expect("a count"))
        })
        .collect()
    }
}

/// What one has that the other has not.
fn beyond(one: &Fired, other: &Fired) -> Fired {
    let more = one.iter().filter_map(|(series, count)| {
        let more = count.saturating_sub(*other.get(series).unwrap_or(&0));
        (more > 0).then(|| (series.clone(), more))
    });
    more.collect()
}
