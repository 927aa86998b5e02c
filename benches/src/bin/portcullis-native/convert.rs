//! The contract's records exist twice, made from the same WIT for guests and for the host: from one to the other.

use portcullis_sandbox as host;
use portcullis_sdk as policy;

pub fn to_host_identity(identity: policy::Identity) -> host::Identity {
    let policy::Identity {
        subject,
        team,
        roles,
        scopes,
        claims,
    } = identity;
    host::Identity {
        subject,
        team,
        roles,
        scopes,
        claims,
    }
}

pub fn to_policy_identity(identity: &host::Identity) -> policy::Identity {
    let host::Identity {
        subject,
        team,
        roles,
        scopes,
        claims,
    } = identity.clone();
    policy::Identity {
        subject,
        team,
        roles,
        scopes,
        claims,
    }
}

pub fn to_policy_candidate(candidate: &host::Candidate) -> policy::Candidate {
    let host::Candidate {
        healthy,
        in_flight,
        latency_us,
    } = *candidate;
    policy::Candidate {
        healthy,
        in_flight,
        latency_us,
    }
}

pub fn to_policy_entry(entry: &host::Entry) -> policy::Entry {
    let host::Entry { name, definition } = entry.clone();
    policy::Entry { name, definition }
}

pub fn to_host_edit(edit: policy::Edit) -> host::Edit {
    match edit {
        policy::Edit::Keep => host::Edit::Keep,
        policy::Edit::Hide => host::Edit::Hide,
        policy::Edit::Replace(definition) => host::Edit::Replace(definition),
    }
}

pub fn to_host_take(request: &policy::quota::Request) -> host::QuotaTake<'_> {
    let policy::quota::Limit {
        rate,
        period_ms,
        burst,
    } = request.limit;
    host::QuotaTake {
        key: &request.key,
        cost: request.cost,
        limit: host::QuotaLimit {
            rate,
            period_ms,
            burst,
        },
    }
}

pub fn to_policy_verdict(verdict: &host::QuotaVerdict) -> policy::quota::Verdict {
    let host::QuotaVerdict {
        allowed,
        remaining,
        retry_after_ms,
    } = *verdict;
    policy::quota::Verdict {
        allowed,
        remaining,
        retry_after_ms,
    }
}
