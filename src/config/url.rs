//! Origins: scheme, host and port, spelled the way browsers send them.

use std::net::Ipv6Addr;

use super::error::shown;

/// The longest host name (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Reads `http(s)://host[:port]` (a slash at the end is dropped) into lower case without the scheme's default port.
pub(super) fn parse_origin(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Err("an address with a user name or password in it is never right here".to_owned());
    }
    let named = shown(text);
    let (scheme, rest) = text.split_once("://").ok_or_else(|| {
        if text == "*" {
            "`*` would let any page read: name each origin, such as `https://docs.example`".to_owned()
        } else {
            format!("`{named}` has no scheme: write it as `https://host` or `http://host:port`")
        }
    })?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err(format!("`{named}` is neither `http://` nor `https://`")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(format!("`{named}` has a path, a query or a fragment: only scheme, host and port belong here"));
    }
    let (host, port) =
        split_port(authority).ok_or_else(|| format!("`{named}` has a port that is none (1 to 65535)"))?;
    if !is_host(host) {
        return Err(format!("`{named}` has no valid host name or address"));
    }
    let host = host.to_ascii_lowercase();
    Ok(match port {
        Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
        Some(_) | None => format!("{scheme}://{host}"),
    })
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[bracket..].rfind(':') else { return Some((authority, None)) };
    let (host, port) = (&authority[..bracket + colon], &authority[bracket + colon + 1..]);
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { port.parse().ok().filter(|port| *port != 0)? } else { return None };
    Some((host, Some(port)))
}

fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    let label = |l: &str| {
        let inner = l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&l.len()) && inner && !l.starts_with('-') && !l.ends_with('-')
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_spelled_as_browsers_send_them() {
        for (text, expected) in [
            ("https://registry.example", "https://registry.example"),
            ("HTTPS://Registry.Example:443/", "https://registry.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_reason() {
        for (text, hint) in [
            ("*", "name each origin"),
            ("registry.example", "no scheme"),
            ("ftp://registry.example", "neither"),
            ("https://registry.example/packages", "a path"),
            ("https://registry.example?x", "a query"),
            ("https://me:secret@registry.example/a", "user name or password"),
            ("https://registry.example:", "port"),
            ("https://registry.example:0", "port"),
            ("https://registry.example:+80", "port"),
            ("https://", "host"),
            ("https://-a.example", "host"),
            ("https://a b", "host"),
            ("https://[::g]", "host"),
        ] {
            let error = parse_origin(text).expect_err(text);
            assert!(error.contains(hint) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
