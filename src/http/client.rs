//! Who is at the other end, seen through proxies: the client's address, and whether it is this machine.
//!
//! A forwarded header counts only from a peer that the operator trusts; anybody can write one.

use std::net::{IpAddr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::connection::Peer;

/// Headers by which a proxy shows itself; a request with one is never local.
const FORWARDED: &[&str] =
    &["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// Any address of the network.
    pub address: IpAddr,
    /// Leading bits that count: at most 32 (IPv4) or 128 (IPv6).
    pub prefix: u8,
}

impl Network {
    /// Whether the address lies in the network. IPv4 addresses in IPv6's clothes count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
                own.to_bits().checked_shr(host_bits) == other.to_bits().checked_shr(host_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let host_bits = 128_u32.saturating_sub(u32::from(self.prefix));
                own.to_bits().checked_shr(host_bits) == other.to_bits().checked_shr(host_bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// The client's address; none for the admin socket and inside the process.
    pub ip: Option<IpAddr>,
    /// Whether it comes from this machine, through no proxy.
    pub is_local: bool,
}

/// Finds the client behind a peer.
///
/// Of `X-Forwarded-For`, which each proxy adds its peer to, the last address counts that no trusted proxy has. An
/// entry that is no address ends the search: the proxy that wrote it is what is known.
pub fn client(peer: Peer, headers: &HeaderMap, trusted_proxies: &[Network]) -> Client {
    let address = match peer {
        Peer::Unix { .. } | Peer::InProcess => return Client { ip: None, is_local: true },
        Peer::Tcp(address) => address.ip().to_canonical(),
    };
    let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    let is_trusted = |ip: IpAddr| trusted_proxies.iter().any(|network| network.contains(ip));
    let mut ip = address;
    let values = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(ip) {
            break;
        }
        let Some(next) = parse_hop(hop.trim()) else { break };
        ip = next;
    }
    Client { ip: Some(ip), is_local: address.is_loopback() && !is_forwarded }
}

/// An address, with a port (`1.2.3.4:5`, `[::1]:5`) or without.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let address = bare.parse().or_else(|_| bare.rsplit_once(':').map_or(bare, |(address, _)| address).parse());
    address.ok().map(|address: IpAddr| address.to_canonical()).filter(|address| *address != Ipv6Addr::UNSPECIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &[Network] = &[
        Network { address: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 0)), prefix: 8 },
        Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ];

    #[track_caller]
    fn check(peer: &str, headers: &[(&'static str, &str)], ip: &str, is_local: bool) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let peer = Peer::Tcp(std::net::SocketAddr::new(peer.parse().unwrap(), 9));
        let found = client(peer, &headers.collect(), PROXIES);
        assert_eq!(found, Client { ip: Some(ip.parse().unwrap()), is_local });
    }

    #[test]
    fn forwarded_addresses_count_from_trusted_proxies_alone() {
        check("192.0.2.1", &[], "192.0.2.1", false);
        check("192.0.2.1", &[("x-forwarded-for", "198.51.100.7")], "192.0.2.1", false);
        check("10.1.2.3", &[("x-forwarded-for", "198.51.100.7")], "198.51.100.7", false);
        check("10.1.2.3", &[("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.9.9.9")], "198.51.100.7", false);
        check("10.1.2.3", &[("x-forwarded-for", "127.0.0.1, nonsense")], "10.1.2.3", false);
        check("::ffff:10.1.2.3", &[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1", false);
        check("10.1.2.3", &[("x-forwarded-for", "198.51.100.7:1234")], "198.51.100.7", false);
    }

    #[test]
    fn a_forwarded_request_is_never_local() {
        check("127.0.0.1", &[], "127.0.0.1", true);
        check("::1", &[], "::1", true);
        for name in FORWARDED {
            check("127.0.0.1", &[(name, "x")], "127.0.0.1", false);
        }
        check("::1", &[("x-forwarded-for", "127.0.0.1")], "127.0.0.1", false);
        let local = client(Peer::InProcess, &HeaderMap::new(), PROXIES);
        assert_eq!(local, Client { ip: None, is_local: true });
    }

    #[test]
    fn networks_of_every_size_contain_their_addresses() {
        let contains = |address: &str, prefix, other: &str| {
            Network { address: address.parse().unwrap(), prefix }.contains(other.parse().unwrap())
        };
        assert!(contains("0.0.0.0", 0, "203.0.113.9"));
        assert!(contains("::", 0, "2001:db8::1"));
        assert!(contains("192.0.2.128", 25, "192.0.2.200"));
        assert!(!contains("192.0.2.128", 25, "192.0.2.1"));
        assert!(!contains("::", 0, "192.0.2.1"));
    }
}
