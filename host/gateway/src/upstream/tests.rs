//! Upstreams against real peers.
