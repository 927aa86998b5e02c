//! Which addresses a registry may be at: every address that a name leads to is looked at before it is connected to.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tower_service::Service;

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those of the public internet.
    Public,
    /// All.
    Anywhere,
}

/// A name or address that leads inside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{host}` leads to {address}, which is no public address: where that is meant, say `private_addresses: true` of its registry in the settings (plugins.registries)"
)]
pub struct PrivateAddress {
    host: String,
    address: IpAddr,
}

impl Reach {
    /// The address, if it may be connected to.
    pub(super) fn check(self, host: &str, address: IpAddr) -> Result<(), PrivateAddress> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Public if is_public(address) => Ok(()),
            Self::Public => Err(PrivateAddress {
                host: host.to_owned(),
                address,
            }),
        }
    }
}

/// Resolves names to addresses that may be connected to. One that may not spoils the name: it is not passed over in
/// silence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver(pub Reach);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    /// A [`PrivateAddress`], or the system's.
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reach = self.0;
        Box::pin(async move {
            // The connector sets the port.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            for address in &found {
                reach.check(name.as_str(), address.ip())?;
            }
            Ok(found.into_iter())
        })
    }
}

/// Whether an address is one of the public internet: in none of the blocks of IANA's registries of special-purpose
/// addresses (RFC 6890) that are not globally reachable.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => is_public_v4(embedded),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        // Shared between carriers (RFC 6598), protocol assignments, benchmarks (RFC 2544), reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3; of it, documentation and what is assigned to protocols leads nowhere.
    let [first, second, ..] = address.segments();
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x3fff
}

/// The IPv4 address that an IPv6 address stands for: mapped, translated (RFC 6052) or 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, .., seventh, eighth] = address.segments();
    let join = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match (first, second) {
        (0x64, 0xff9b) => Some(join(seventh, eighth)),
        (0x2002, high) => Some(join(high, third)),
        (_, _) => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("140.82.121.33", true),
            ("100.63.255.255", true),
            ("192.0.1.1", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.0.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:50c0:8000::154", true),
            ("2a00:1450:4001::8a", true),
            ("::", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("2002:a00:1::1", false),
            ("2001:db8::1", false),
            ("2001::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(is_public(parsed), public, "{address}");
            assert_eq!(Reach::Public.check("h", parsed).is_ok(), public);
            assert_eq!(Reach::Anywhere.check("h", parsed), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved() {
        let name: Name = "localhost".parse().unwrap();
        let refused = Resolver(Reach::Public)
            .call(name.clone())
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("no public address"),
            "{refused}"
        );
        let found = Resolver(Reach::Anywhere).call(name).await.unwrap();
        assert!(found.count() > 0);
    }
}
