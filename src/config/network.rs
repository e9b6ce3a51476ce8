//! Networks of IP addresses, as trusted proxies are named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A network such as `10.0.0.0/8`; a plain address is the network of that address alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits of the address count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in this network. An IPv4 address that came in over an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let same_family = self.address.is_ipv4() == address.is_ipv4();
        same_family && masked(address, self.prefix) == masked(self.address, self.prefix)
    }
}

/// The address left-aligned in 128 bits with all but its first `prefix` bits cleared.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let bits = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    bits & mask
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_e| format!("`{address}` is not an IP address"))?;
        let address = address.to_canonical();
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits_max,
            Some(digits) => match digits.parse::<u8>() {
                Ok(n) if n <= bits_max && digits.bytes().all(|b| b.is_ascii_digit()) => n,
                Ok(_) | Err(_) => return Err(format!("the prefix `/{digits}` is not a number from 0 to {bits_max}")),
            },
        };
        let kept = masked(address, prefix);
        if kept == masked(address, bits_max) {
            return Ok(Self { address, prefix });
        }
        let start = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(kept >> 96).unwrap_or(0))),
            IpAddr::V6(_) => IpAddr::V6(kept.into()),
        };
        Err(format!("`{text}` has bits set behind its prefix; that network is written `{start}/{prefix}`"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let parsed: Network = network.parse().expect(network);
        for address in inside {
            assert!(parsed.contains(address.parse().expect("address")), "{address} in {network}");
        }
        for address in outside {
            assert!(!parsed.contains(address.parse().expect("address")), "{address} not in {network}");
        }
    }

    #[test]
    fn a_network_contains_the_addresses_that_share_its_prefix() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "9.255.255.255", "::a00:0"],
        );
        check("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check("0.0.0.0/0", &["1.2.3.4"], &["::1"]);
        check("::/0", &["::1", "2001:db8::1"], &["127.0.0.1"]);
        check("2001:db8::/33", &["2001:db8:7fff::"], &["2001:db8:8000::"]);
    }

    #[test]
    fn what_is_no_network_is_refused_and_the_right_spelling_shown() {
        for (text, hint) in [
            ("10.0.0.1/8", "`10.0.0.0/8`"),
            ("2001:db8::1/64", "`2001:db8::/64`"),
            ("10.0.0.0/33", "0 to 32"),
            ("10.0.0.0/+8", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0/8", "not an IP address"),
            ("proxy.example", "not an IP address"),
            ("", "not an IP address"),
        ] {
            let error = text.parse::<Network>().expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
