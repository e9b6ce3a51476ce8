//! What a request shows to prove who sends it: `Authorization`, as Bearer or Basic.
//!
//! Reads the header alone; whether a token is known is a service's to say. The text is a secret: nothing here logs it,
//! and `Debug` hides it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use crate::domain::refusal::{Reason, Refusal};

/// The credentials of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented {
    /// No `Authorization` header.
    None,
    /// `Bearer`, with the token's text.
    Bearer(String),
    /// `Basic`, with the token's text as the password; the user name doesn't matter (`CMake`, Meson and netrc can send
    /// nothing else).
    Basic(String),
}

impl Presented {
    /// The token's text, if there is one.
    pub fn token_text(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Bearer(text) | Self::Basic(text) => Some(text),
        }
    }

    /// Reads the header.
    ///
    /// # Errors
    /// `unsupported_scheme` for other schemes, `malformed_token` for what can't be read and for two headers.
    pub fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Self::None) };
        if values.next().is_some() {
            return Err(malformed("there is more than one Authorization header; send one"));
        }
        let text = value.to_str().map_err(|_cause| malformed("the Authorization header is not ASCII"))?.trim();
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            return if rest.is_empty() {
                Err(malformed("a token has to follow `Bearer`"))
            } else {
                Ok(Self::Bearer(rest.to_owned()))
            };
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest).map(Self::Basic);
        }
        let message = "the Authorization header has to be `Bearer <token>`, or Basic with the token as the password";
        Err(Refusal::new(Reason::UnsupportedScheme, message))
    }
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::Basic(_) => "Basic(…)",
        })
    }
}

/// The password of Basic credentials (RFC 7617).
fn basic(encoded: &str) -> Result<String, Refusal> {
    let bytes = STANDARD.decode(encoded).map_err(|_cause| malformed("the Basic credentials are not valid base64"))?;
    let text = String::from_utf8(bytes).map_err(|_cause| malformed("the Basic credentials are not UTF-8"))?;
    match text.split_once(':') {
        Some((_, password)) if !password.is_empty() => Ok(password.to_owned()),
        Some(_) | None => Err(malformed("the Basic credentials have no password; the token belongs there")),
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(Reason::MalformedToken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Presented, Reason> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Presented::read(&headers).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn bearer_and_basic_carry_a_token() {
        let bearer = || Ok(Presented::Bearer("vixr_a".to_owned()));
        assert_eq!(read(&[]), Ok(Presented::None));
        assert_eq!(read(&["Bearer vixr_a"]), bearer());
        assert_eq!(read(&["bearer   vixr_a "]), bearer());
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(read(&[&basic("any:vixr_a")]), Ok(Presented::Basic("vixr_a".to_owned())));
        assert_eq!(read(&[&basic(":a:b")]), Ok(Presented::Basic("a:b".to_owned())));
        for wrong in [&basic("any:"), &basic("any"), "Basic ???", "Basic", "Bearer", "Bearer ", "bEARER"] {
            assert_eq!(read(&[wrong]), Err(Reason::MalformedToken), "{wrong}");
        }
    }

    #[test]
    fn other_schemes_and_two_headers_are_refused() {
        assert_eq!(read(&["Digest a"]), Err(Reason::UnsupportedScheme));
        assert_eq!(read(&["vixr_a"]), Err(Reason::UnsupportedScheme));
        assert_eq!(read(&[""]), Err(Reason::UnsupportedScheme));
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(Reason::MalformedToken));
        assert!(!format!("{:?}", Presented::Bearer("secret".to_owned())).contains("secret"));
    }
}
