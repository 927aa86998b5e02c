//! Which addresses a guest may reach: public ones, and those of the networks that its binding grants.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Network;

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Of(Network),
    /// Nobody's: unspecified, multicast, reserved.
    Nobodys,
}

/// Metadata services of clouds, where they are not link-local by themselves.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Why an address is not connected to; none where it may be.
pub(super) fn refused(address: IpAddr, granted: &[Network]) -> Option<String> {
    let what = match kind(address) {
        Kind::Public => return None,
        Kind::Of(network) if granted.contains(&network) => return None,
        Kind::Of(Network::Loopback) => "loopback",
        Kind::Of(Network::Private) => "private",
        Kind::Of(Network::LinkLocal) => "link-local",
        Kind::Nobodys => return Some(format!("{address} is no address of a host")),
    };
    Some(format!(
        "{address} is a {what} address, and the grant's `networks` has no `{what}`"
    ))
}

/// Whether an address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    kind(address) == Kind::Public
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// IANA's registry of special-purpose IPv4 addresses (RFC 6890).
fn kind_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) {
        return Kind::Of(Network::LinkLocal);
    }
    match address.octets() {
        [127, ..] => Kind::Of(Network::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Of(Network::Private),
        // Shared by carriers (RFC 6598), and for measurements (RFC 2544).
        [100, 64..=127, ..] | [198, 18..=19, ..] => Kind::Of(Network::Private),
        [169, 254, ..] => Kind::Of(Network::LinkLocal),
        // This network, protocols, documentation, relays, multicast, reserved.
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Kind::Nobodys,
        _ => Kind::Public,
    }
}

/// The registry's IPv6 part. An address that carries one of IPv4 counts as that.
fn kind_v6(address: Ipv6Addr) -> Kind {
    if address == METADATA_V6 {
        return Kind::Of(Network::LinkLocal);
    }
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Of(Network::Loopback),
        // Mapped, translated (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => carried(high, low),
        // A translator of the network's own (RFC 8215), unique local, and what was called site-local.
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => {
            Kind::Of(Network::Private)
        }
        [0xfe80..=0xfebf, ..] => Kind::Of(Network::LinkLocal),
        // Global unicast, but for protocols with tunnels among them (Teredo), and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Nobodys,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Nobodys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_somebodys() {
        use Network::{LinkLocal, Loopback, Private};
        for (address, want) in [
            ("1.1.1.1", Kind::Public),
            ("172.32.0.1", Kind::Public),
            ("100.128.0.1", Kind::Public),
            ("2606:4700::1111", Kind::Public),
            ("::ffff:1.1.1.1", Kind::Public),
            ("127.0.0.1", Kind::Of(Loopback)),
            ("127.255.1.2", Kind::Of(Loopback)),
            ("::1", Kind::Of(Loopback)),
            ("::ffff:127.0.0.1", Kind::Of(Loopback)),
            ("64:ff9b::7f00:1", Kind::Of(Loopback)),
            ("2002:7f00:1::", Kind::Of(Loopback)),
            ("10.1.2.3", Kind::Of(Private)),
            ("172.16.0.1", Kind::Of(Private)),
            ("192.168.1.1", Kind::Of(Private)),
            ("100.64.0.1", Kind::Of(Private)),
            ("198.18.0.1", Kind::Of(Private)),
            ("fd12::1", Kind::Of(Private)),
            ("fec0::1", Kind::Of(Private)),
            ("64:ff9b:1::1", Kind::Of(Private)),
            ("::ffff:10.0.0.1", Kind::Of(Private)),
            ("169.254.169.254", Kind::Of(LinkLocal)),
            ("::ffff:169.254.169.254", Kind::Of(LinkLocal)),
            ("fe80::1", Kind::Of(LinkLocal)),
            ("fd00:ec2::254", Kind::Of(LinkLocal)),
            ("100.100.100.200", Kind::Of(LinkLocal)),
            ("168.63.129.16", Kind::Of(LinkLocal)),
            ("0.0.0.0", Kind::Nobodys),
            ("0.1.2.3", Kind::Nobodys),
            ("224.0.0.1", Kind::Nobodys),
            ("255.255.255.255", Kind::Nobodys),
            ("192.0.2.1", Kind::Nobodys),
            ("::", Kind::Nobodys),
            ("::7f00:1", Kind::Nobodys),
            ("ff02::1", Kind::Nobodys),
            ("2001::1", Kind::Nobodys),
            ("2001:db8::1", Kind::Nobodys),
            ("100::1", Kind::Nobodys),
        ] {
            assert_eq!(kind(address.parse().unwrap()), want, "{address}");
        }
    }

    #[test]
    fn a_grant_opens_one_kind_of_network() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let private: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(refused(loopback, &[Network::Loopback]), None);
        let said = refused(private, &[Network::Loopback]).unwrap();
        assert!(said.contains("no `private`"), "{said}");
        let all = [Network::Loopback, Network::Private, Network::LinkLocal];
        assert!(refused("0.0.0.0".parse().unwrap(), &all).is_some());
    }
}
