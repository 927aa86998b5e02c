//! Servers: mounts of upstreams that exist, under names that cannot collide.

use std::collections::BTreeSet;

use crate::model::{Naming, ServerSpec, TenantState, check_name};

use super::{Checked, Problem, at_most};

const MOUNTS_MAX: usize = 100;
const REPLICAS_MAX: usize = 100;
const HOSTS_MAX: usize = 32;

pub(in crate::admin) fn server(spec: &ServerSpec, state: &TenantState) -> Checked {
    if spec.upstreams.is_empty() {
        return Err(Problem::invalid(
            "/upstreams",
            "a server has at least one upstream",
        ));
    }
    at_most("/upstreams", "mounts", spec.upstreams.len(), MOUNTS_MAX)?;
    if spec.naming == Naming::Plain && spec.upstreams.len() > 1 {
        return Err(Problem::invalid(
            "/naming",
            "`plain` is for servers of one mount, since two upstreams may offer the same name: use `prefixed`",
        ));
    }
    let mut seen = BTreeSet::new();
    for (at, mount) in spec.upstreams.iter().enumerate() {
        let pointer = format!("/upstreams/{at}/name");
        check_name(&mount.name).map_err(|error| Problem::invalid(&pointer, error.to_string()))?;
        if !seen.insert(&mount.name) {
            return Err(Problem::invalid(
                pointer,
                format!(
                    "`{}` is mounted twice: names of a server's mounts are unique",
                    mount.name
                ),
            ));
        }
        at_most(
            &format!("/upstreams/{at}/replicas"),
            "replicas",
            mount.replicas.len(),
            REPLICAS_MAX,
        )?;
        if mount.replicas.is_empty() && !state.upstreams.contains_key(&mount.name) {
            return Err(no_upstream(pointer, &mount.name, state));
        }
        let mut replicas = BTreeSet::new();
        for (nth, replica) in mount.replicas.iter().enumerate() {
            let pointer = format!("/upstreams/{at}/replicas/{nth}");
            if !state.upstreams.contains_key(replica) {
                return Err(no_upstream(pointer, replica, state));
            }
            if !replicas.insert(replica) {
                return Err(Problem::invalid(
                    pointer,
                    format!("`{replica}` is named twice"),
                ));
            }
        }
    }
    hosts(&spec.hosts)
}

fn no_upstream(pointer: String, name: &str, state: &TenantState) -> Problem {
    let near = crate::config::nearest(name, state.upstreams.keys().map(String::as_str));
    let hint = near.map_or_else(
        || "create it first".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::invalid(pointer, format!("there is no upstream `{name}`: {hint}"))
}

fn hosts(hosts: &[String]) -> Checked {
    at_most("/hosts", "hosts", hosts.len(), HOSTS_MAX)?;
    let mut seen = BTreeSet::new();
    for (at, host) in hosts.iter().enumerate() {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let good = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(allowed)
            && !host.starts_with(['.', '-'])
            && !host.ends_with(['.', '-']);
        if !good || !seen.insert(host) {
            let shown: String = host.chars().take(80).collect();
            return Err(Problem::invalid(
                format!("/hosts/{at}"),
                format!(
                    "`{shown}` is not a host name in lower case without a port, or is named twice"
                ),
            ));
        }
    }
    Ok(())
}
