//! Which addresses a registry may be at: every address that a name leads to is looked at before it is connected to.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tower_service::Service;

use crate::policy::services::is_public;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_within_reach_of_the_public() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("2606:50c0:8000::154", true),
            ("10.1.2.3", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("168.63.129.16", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("0.0.0.0", false),
            ("ff02::1", false),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            let reached = Reach::Public.check("h", parsed);
            assert_eq!(reached.is_ok(), public, "{address}");
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
