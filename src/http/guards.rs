//! What is checked before a request is looked at as one of ours: its size, its Host, and browsers' foreign pages.

use hyper::header::{HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, StatusCode, Version};

use crate::domain::name::shown;
use crate::domain::refusal::{Reason, Refusal};

use super::app::{HttpLimits, HttpSettings};
use super::connection::Peer;

/// The bare status for a head that is too large: like what the parser refuses, it gets no envelope, and the connection
/// closes.
pub fn too_large(parts: &Parts, limits: &HttpLimits) -> Option<StatusCode> {
    // What hyper hands on is the target as it stood on the request line, in absolute form as well.
    let authority_bytes = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    let path_bytes = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if authority_bytes + path_bytes > limits.uri_bytes_max {
        return Some(StatusCode::URI_TOO_LONG);
    }
    // As on the wire: name, colon, blank, value, line end.
    let field_bytes = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    let header_bytes: usize = parts.headers.iter().map(field_bytes).sum();
    let is_over = parts.headers.len() > limits.header_count_max || header_bytes > limits.header_bytes_max;
    is_over.then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// Finds the one host that the request names: `Host`, or the authority of an absolute target, which must agree.
/// Inside the process, and in HTTP/1.0, there need be none.
///
/// # Errors
/// `invalid_host`.
pub fn host(parts: &Parts, peer: Peer) -> Result<Option<Authority>, Refusal> {
    let mut values = parts.headers.get_all(HOST).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(invalid_host("there is more than one Host header"));
    }
    let named = first.map(|value| authority(value.as_bytes())).transpose()?;
    let target = parts.uri.authority().map(|target| authority(target.as_str().as_bytes())).transpose()?;
    match (named, target) {
        (Some(named), Some(target)) if !named.as_str().eq_ignore_ascii_case(target.as_str()) => {
            Err(invalid_host("the Host header and the request's target name different hosts"))
        }
        (Some(host), Some(_) | None) => Ok(Some(host)),
        // HTTP/2 has `:authority` instead; an HTTP/1.1 request needs the header whatever its target is.
        (None, Some(target)) if parts.version != Version::HTTP_11 => Ok(Some(target)),
        (None, None) if peer == Peer::InProcess || parts.version < Version::HTTP_11 => Ok(None),
        (None, _) => Err(invalid_host("there is no Host header")),
    }
}

fn authority(bytes: &[u8]) -> Result<Authority, Refusal> {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    let port_ok = |authority: &Authority| {
        let rest = authority.as_str().strip_prefix(authority.host()).unwrap_or("x");
        let digits = rest.strip_prefix(':').unwrap_or("");
        rest.is_empty()
            || digits.is_empty() && rest == ":"
            || digits.parse::<u16>().is_ok_and(|_| !digits.starts_with('+'))
    };
    let parsed = text.parse::<Authority>().ok().filter(|authority| !authority.host().is_empty() && port_ok(authority));
    parsed.ok_or_else(|| invalid_host(&format!("`{}` is no host", shown(text))))
}

fn invalid_host(why: &str) -> Refusal {
    let message = format!("{why}; the request has to name one host, such as `Host: registry.example`");
    Refusal::new(Reason::InvalidHost, message)
}

/// Refuses what a page of another site makes a browser send: it may have remembered its owner's credentials.
///
/// # Errors
/// `cross_origin`, for anything but GET, HEAD and OPTIONS.
pub fn check_origin(parts: &Parts, host: Option<&Authority>, settings: &HttpSettings) -> Result<(), Refusal> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
        return Ok(());
    }
    let site = parts.headers.get_all("sec-fetch-site").iter();
    let is_foreign_site = |value: &[u8]| value == b"cross-site" || value == b"same-site";
    if site.into_iter().any(|value| is_foreign_site(value.as_bytes())) {
        return Err(cross_origin());
    }
    let foreign = |value: &hyper::header::HeaderValue| {
        let Ok(origin) = value.to_str() else { return true };
        !is_cors_origin(origin, settings) && !is_own(origin, host, settings)
    };
    if parts.headers.get_all(ORIGIN).iter().any(foreign) { Err(cross_origin()) } else { Ok(()) }
}

fn cross_origin() -> Refusal {
    let message = "a browser sent this from a page of another site, which may read here at most; use a client instead";
    Refusal::new(Reason::CrossOrigin, message)
}

/// Whether the operator lets pages of this origin read.
pub fn is_cors_origin(origin: &str, settings: &HttpSettings) -> bool {
    settings.cors_origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
}

/// Whether an origin's host (and port) is the request's or `public_url`'s.
fn is_own(origin: &str, host: Option<&Authority>, settings: &HttpSettings) -> bool {
    let Some(origin) = Site::of_url(origin) else { return false };
    let is_request = host.is_some_and(|host| {
        let same_port = host.port_u16().map_or(origin.port_is_default, |port| port == origin.port);
        same_port && host.host().eq_ignore_ascii_case(&origin.host)
    });
    let public = settings.public_url.as_deref().and_then(Site::of_url);
    is_request || public.is_some_and(|public| public.host == origin.host && public.port == origin.port)
}

struct Site {
    host: String,
    port: u16,
    port_is_default: bool,
}

impl Site {
    fn of_url(url: &str) -> Option<Self> {
        let uri: hyper::Uri = url.parse().ok()?;
        let default = match uri.scheme_str()? {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(default);
        Some(Self { host: uri.host()?.to_ascii_lowercase(), port, port_is_default: port == default })
    }
}

/// The configured origin that the request names, for the headers of CORS.
pub fn allowed_origin<'h>(headers: &'h HeaderMap, settings: &HttpSettings) -> Option<&'h str> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    is_cors_origin(origin, settings).then_some(origin)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const TCP: Peer = Peer::Tcp(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1));

    #[test]
    fn a_request_names_one_host() {
        let check = |uri: &str, hosts: &[&str], expected: Option<&str>| {
            let headers: Vec<(&str, &str)> = hosts.iter().map(|value| ("host", *value)).collect();
            let found = host(&parts("GET", uri, &headers), TCP).ok().flatten().map(|host| host.to_string());
            assert_eq!(found.as_deref(), expected, "{uri} {hosts:?}");
        };
        check("/", &["a.example:8080"], Some("a.example:8080"));
        check("/", &["[::1]:80"], Some("[::1]:80"));
        check("http://A.example/", &["a.example"], Some("a.example"));
        for wrong in [&[][..], &[""], &["a", "a"], &["a b"], &["u@a"], &["a:b"], &["a:99999"], &["a/b"], &[":80"]] {
            check("/", wrong, None);
        }
        check("http://b.example/", &["a.example"], None);
        check("http://b.example/", &[], None);
        assert!(matches!(host(&parts("GET", "/", &[]), Peer::InProcess), Ok(None)));
        assert!(host(&parts("GET", "/", &[]), TCP).is_err());
        let mut old = parts("GET", "/", &[]);
        old.version = Version::HTTP_10;
        assert!(matches!(host(&old, TCP), Ok(None)));
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let settings = HttpSettings {
            public_url: Some("https://reg.example/base".to_owned()),
            cors_origins: vec!["https://ui.example".to_owned()],
            ..HttpSettings::default()
        };
        let check = |method: &str, headers: &[(&str, &str)], expected: bool| {
            let parts = parts(method, "/", headers);
            let host = Authority::from_static("127.0.0.1:8080");
            assert_eq!(check_origin(&parts, Some(&host), &settings).is_ok(), expected, "{method} {headers:?}");
        };
        check("POST", &[], true);
        check("POST", &[("sec-fetch-site", "same-origin")], true);
        check("POST", &[("sec-fetch-site", "none")], true);
        check("POST", &[("sec-fetch-site", "cross-site")], false);
        check("DELETE", &[("sec-fetch-site", "same-site"), ("origin", "https://ui.example")], false);
        check("GET", &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], true);
        check("POST", &[("origin", "http://127.0.0.1:8080")], true);
        check("POST", &[("origin", "http://127.0.0.1:9090")], false);
        check("POST", &[("origin", "https://reg.example")], true);
        check("POST", &[("origin", "http://reg.example")], false);
        check("PUT", &[("origin", "https://ui.example")], true);
        check("POST", &[("origin", "https://evil.example")], false);
        check("POST", &[("origin", "null")], false);
        check("TRACE", &[("origin", "https://evil.example")], false);
    }

    #[test]
    fn large_heads_are_refused() {
        let limits = HttpLimits::default();
        let check = |uri: &str, headers: &[(&str, &str)], expected: Option<u16>| {
            let found = too_large(&parts("GET", uri, headers), &limits).map(|status| status.as_u16());
            assert_eq!(found, expected);
        };
        check("/", &[("a", "b"); 100], None);
        check("/", &[("a", "b"); 101], Some(431));
        check("/", &[("a", &"b".repeat(16 * 1024 - 5))], None);
        check("/", &[("a", &"b".repeat(16 * 1024 - 4))], Some(431));
        check(&format!("/{}", "a".repeat(8191)), &[], None);
        check(&format!("/{}", "a".repeat(8192)), &[], Some(414));
    }
}
