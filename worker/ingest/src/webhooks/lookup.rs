//! Names to addresses, each time anew, and of those only the ones that a webhook may go to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jobs::webhook::TargetRules;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses that the name has now.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Asks the operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// A resolver for the HTTP client. What it returns is where the client connects to: there is no second look at the name
/// that could find another address.
pub(super) struct CheckedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) rules: TargetRules,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, rules) = (self.lookup.lookup(name.as_str().to_owned()), self.rules.clone());
        Box::pin(async move {
            let found = found.await?;
            let checked = |address: &IpAddr| rules.check_address(*address);
            // A name may have a public address and one that a translator of this network made up beside it.
            let public: Vec<_> = found.iter().copied().filter(|address| checked(address).is_ok()).collect();
            if public.is_empty() {
                let refused = found.iter().find_map(|address| checked(address).err());
                return Err(match refused {
                    Some(refused) => refused.into(),
                    None => io::Error::new(io::ErrorKind::NotFound, "the name has no address").into(),
                });
            }
            // The port is that of the URL.
            let addresses = public.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use jobs::webhook::InvalidTarget;

    use super::*;

    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let found = self.0.clone();
            async move { Ok(found) }.boxed()
        }
    }

    async fn resolved(addresses: &[&str]) -> Result<Vec<String>, String> {
        let lookup = Arc::new(Fixed(addresses.iter().map(|text| text.parse().unwrap()).collect()));
        let resolver = CheckedResolver { lookup, rules: TargetRules::default() };
        match resolver.resolve("example.com".parse().unwrap()).await {
            Ok(found) => Ok(found.map(|address| address.to_string()).collect()),
            Err(error) => {
                let known = error.downcast_ref::<InvalidTarget>().map(|refused| refused.code().to_owned());
                Err(known.unwrap_or_else(|| error.to_string()))
            }
        }
    }

    #[tokio::test]
    async fn only_public_addresses_of_a_name_are_connected_to() {
        assert_eq!(resolved(&["1.1.1.1"]).await, Ok(vec!["1.1.1.1:0".into()]));
        assert_eq!(resolved(&["10.0.0.1", "1.1.1.1", "::1"]).await, Ok(vec!["1.1.1.1:0".into()]));
        for private in [&["169.254.169.254"][..], &["127.0.0.1", "::1"], &["::ffff:1.1.1.1"]] {
            assert_eq!(resolved(private).await, Err("address_refused".into()), "{private:?}");
        }
        assert_eq!(resolved(&[]).await, Err("the name has no address".into()));
    }
}
