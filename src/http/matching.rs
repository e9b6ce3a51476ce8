//! From a raw request path to a row of the route table: splitting, percent-decoding, matching.
//!
//! Owns what a path means. Never looks at headers or bodies, and never at what exists: its answers depend on the path
//! and the table alone. Start at [`Matcher::find`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::domain::name::{RESERVED_NAMES, shown};
use crate::domain::refusal::{Reason, Refusal};

/// The methods that rows of the table have. HEAD is served by GET's row, OPTIONS by the matcher itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Reads; HEAD goes here too.
    Get,
    /// Creates, or asks with a body.
    Post,
    /// Puts a thing at its own path.
    Put,
    /// Changes some fields.
    Patch,
    /// Takes away.
    Delete,
}

impl Verb {
    /// Every verb, in the order in which `Allow` names them.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As on the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The row's verb for a request's method: HEAD asks for GET's row, methods that no row has are `None`.
    pub fn of(method: &hyper::Method) -> Option<Self> {
        let name = if method == hyper::Method::HEAD { "GET" } else { method.as_str() };
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }
}

/// The texts that stood in a pattern's places, decoded, in the pattern's order; `{pkg}` is always `name` or `ns/name`.
pub type RawParams = Vec<(&'static str, String)>;

/// What a path is.
#[derive(PartialEq, Eq, Debug)]
pub enum Found {
    /// The path and the method name this row of the table (its index).
    Row(usize, RawParams),
    /// The path exists, but not with this method; these it has.
    OtherMethods(Vec<Verb>),
}

/// The table's patterns, split once.
pub struct Matcher {
    paths: Vec<PathRows>,
}

struct PathRows {
    segments: Vec<Segment>,
    rows: [Option<usize>; Verb::ALL.len()],
}

#[derive(PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Package(&'static str),
    Any(&'static str),
}

impl Matcher {
    /// Splits the patterns; a row's index is its place in `rows`. A later row of the same method and path is ignored
    /// (a test over the real table refuses such a row).
    pub fn new(rows: impl IntoIterator<Item = (Verb, &'static str)>) -> Self {
        let mut paths: Vec<PathRows> = Vec::new();
        for (index, (verb, pattern)) in rows.into_iter().enumerate() {
            let segments: Vec<Segment> = pattern.split('/').skip(1).map(Segment::of).collect();
            let at = paths.iter().position(|path| path.segments == segments).unwrap_or_else(|| {
                paths.push(PathRows { segments, rows: [None; Verb::ALL.len()] });
                paths.len() - 1
            });
            let Some(path) = paths.get_mut(at) else { continue };
            path.rows[verb as usize].get_or_insert(index);
        }
        Self { paths }
    }

    /// Finds the row of a method (`None`: one that no row has) and a raw path, as it stood on the request line.
    ///
    /// # Errors
    /// `invalid_path` for a path that can't be decoded or holds a forbidden segment; `no_such_route` for one that
    /// fits no pattern, a trailing slash included.
    pub fn find(&self, verb: Option<Verb>, raw_path: &str) -> Result<Found, Refusal> {
        let segments = split(raw_path)?;
        for path in &self.paths {
            let Some(params) = path.fit(&segments) else { continue };
            let row = verb.and_then(|verb| path.rows[verb as usize]);
            return Ok(row.map_or_else(|| Found::OtherMethods(path.verbs()), |row| Found::Row(row, params)));
        }
        if let Some(slashed) = segments.iter().find(|segment| segment.contains('/')) {
            return Err(invalid(slashed, "holds an encoded `/`, which only a package's name may"));
        }
        Err(Refusal::new(
            Reason::NoSuchRoute,
            format!("there is nothing at `{}`; every path is in `/openapi.json`", shown(raw_path)),
        ))
    }
}

impl Segment {
    fn of(text: &'static str) -> Self {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some("pkg") => Self::Package("pkg"),
            Some(name) => Self::Any(name),
            None => Self::Literal(text),
        }
    }
}

impl PathRows {
    fn verbs(&self) -> Vec<Verb> {
        Verb::ALL.into_iter().filter(|verb| self.rows[*verb as usize].is_some()).collect()
    }

    /// The places' texts when the path fits. There is no backtracking: whether a package's name takes one segment or
    /// two is told by the words reserved after it.
    fn fit(&self, path: &[Cow<'_, str>]) -> Option<RawParams> {
        let mut rest = path;
        let mut params = RawParams::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let (first, after) = rest.split_first().filter(|(first, _)| !first.is_empty())?;
            rest = after;
            match segment {
                Segment::Literal(text) if first == text => {}
                Segment::Literal(_) => return None,
                Segment::Any(_) if first.contains('/') => return None,
                Segment::Any(name) => params.push((name, first.to_string())),
                Segment::Package(name) => match self.package_second(index, first, after) {
                    Some(second) => {
                        rest = after.get(1..)?;
                        params.push((name, format!("{first}/{second}")));
                    }
                    None => params.push((name, first.to_string())),
                },
            }
        }
        rest.is_empty().then_some(params)
    }

    /// The second segment of a package's name, if it has one here.
    fn package_second<'p>(&self, index: usize, first: &str, after: &'p [Cow<'_, str>]) -> Option<&'p str> {
        let second = after.first()?;
        let one_segment_fits = match self.segments.get(index + 1) {
            Some(Segment::Literal(text)) => second == text,
            Some(Segment::Any(_) | Segment::Package(_)) | None => false,
        };
        let is_name = !second.is_empty() && !second.contains('/') && !RESERVED_NAMES.contains(&second.as_ref());
        (!one_segment_fits && !first.contains('/') && is_name).then_some(second)
    }
}

/// Splits and decodes once. A trailing slash leaves an empty last segment, which fits no pattern.
fn split(raw_path: &str) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let Some(path) = raw_path.strip_prefix('/') else {
        return Err(Refusal::new(Reason::InvalidPath, "the request's target is no path; it has to begin with `/`"));
    };
    let count = path.split('/').count();
    let decode = |(index, raw): (usize, &str)| {
        if raw.is_empty() && index + 1 < count {
            return Err(invalid(raw_path, "holds an empty segment"));
        }
        decode_once(raw).map_err(|why| invalid(raw, why)).and_then(checked)
    };
    let segments: Result<Vec<_>, _> =
        path.split('/').enumerate().map(|part| decode(part).map(|text| own(text, part.1))).collect();
    segments
}

/// Keeps the borrow when nothing was encoded.
fn own(text: String, raw: &str) -> Cow<'_, str> {
    if text == raw { Cow::Borrowed(raw) } else { Cow::Owned(text) }
}

fn checked(text: String) -> Result<String, Refusal> {
    if text.contains('\0') {
        return Err(invalid(&text, "holds a NUL"));
    }
    if text.split('/').any(|part| part == "." || part == "..") {
        return Err(invalid(&text, "is a `.` or `..` segment"));
    }
    if text.contains('/') && (text.split('/').count() > 2 || text.split('/').any(str::is_empty)) {
        return Err(invalid(&text, "holds encoded `/` other than the one between a namespace and a name"));
    }
    Ok(text)
}

/// Percent-decodes a text exactly once; `+` stays a plus, in paths and queries alike.
pub fn decode_once(raw: &str) -> Result<String, &'static str> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = raw.as_bytes();
    let broken = bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'%' && !(is_digit(bytes.get(at + 1)) && is_digit(bytes.get(at + 2))));
    if broken {
        return Err("holds a `%` that two hex digits don't follow");
    }
    match percent_decode_str(raw).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("is not UTF-8 once decoded"),
    }
}

fn invalid(segment: &str, why: &str) -> Refusal {
    Refusal::new(Reason::InvalidPath, format!("the path's segment `{}` {why}", shown(segment)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATTERNS: &[(Verb, &str)] = &[
        (Verb::Get, "/health"),
        (Verb::Get, "/v1/packages"),
        (Verb::Get, "/v1/packages/{pkg}"),
        (Verb::Patch, "/v1/packages/{pkg}"),
        (Verb::Get, "/v1/packages/{pkg}/versions"),
        (Verb::Get, "/v1/packages/{pkg}/versions/{version}"),
        (Verb::Get, "/v1/packages/{pkg}/versions/{version}/artifact"),
        (Verb::Get, "/v1/packages/{pkg}/versions/{version}/artifact/{filename}"),
        (Verb::Put, "/v1/packages/{pkg}/members/{principal}"),
        (Verb::Get, "/v1/index/{pkg}"),
    ];

    fn find(verb: Verb, path: &str) -> Result<Found, Reason> {
        Matcher::new(PATTERNS.iter().copied()).find(Some(verb), path).map_err(|refusal| refusal.reason)
    }

    #[track_caller]
    fn check(path: &str, expected: Result<(&str, &[&str]), Reason>) {
        let found = find(Verb::Get, path).map(|found| match found {
            Found::Row(row, params) => (PATTERNS[row].1, params.into_iter().map(|param| param.1).collect()),
            Found::OtherMethods(_) => ("", Vec::new()),
        });
        let expected = expected.map(|(pattern, params)| (pattern, params.iter().map(ToString::to_string).collect()));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_package_takes_one_segment_or_two() {
        let package = "/v1/packages/{pkg}";
        check("/v1/packages/jwt", Ok((package, &["jwt"])));
        check("/v1/packages/gk/jwt", Ok((package, &["gk/jwt"])));
        check("/v1/packages/gk%2Fjwt", Ok((package, &["gk/jwt"])));
        check("/v1/packages/gk%2fjwt", Ok((package, &["gk/jwt"])));
        check("/v1/packages/a/versions", Ok(("/v1/packages/{pkg}/versions", &["a"])));
        check("/v1/packages/gk/jwt/versions", Ok(("/v1/packages/{pkg}/versions", &["gk/jwt"])));
        check("/v1/packages/gk%2Fjwt/versions", Ok(("/v1/packages/{pkg}/versions", &["gk/jwt"])));
        check("/v1/packages/a/versions/1.0.0+b", Ok(("/v1/packages/{pkg}/versions/{version}", &["a", "1.0.0+b"])));
        check("/v1/packages/a/versions/1.0.0%2Bb", Ok(("/v1/packages/{pkg}/versions/{version}", &["a", "1.0.0+b"])));
        let filename = "/v1/packages/{pkg}/versions/{version}/artifact/{filename}";
        check("/v1/packages/a/b/versions/1/artifact/c", Ok((filename, &["a/b", "1", "c"])));
        check("/v1/index/gk/jwt", Ok(("/v1/index/{pkg}", &["gk/jwt"])));
    }

    #[test]
    fn reserved_words_are_never_the_second_half_of_a_name() {
        for word in RESERVED_NAMES {
            check(&format!("/v1/index/gk/{word}"), Err(Reason::NoSuchRoute));
        }
        check("/v1/packages/gk/versions/versions/1", Err(Reason::NoSuchRoute));
    }

    #[test]
    fn slashes_dots_nul_and_bad_bytes_are_invalid_paths() {
        for path in [
            "/v1/packages/%2e%2e",
            "/v1/packages/..",
            "/v1/packages/.",
            "/v1/packages/gk%2F..",
            "/v1/packages/a%00b",
            "/v1/packages/a%2Fb%2Fc",
            "/v1/packages/%2Fa",
            "/v1/packages/a%2F",
            "/v1//packages",
            "//",
            "/v1/packages/%ff",
            "/v1/packages/%c0%ae",
            "/v1/packages/%zz",
            "/v1/packages/%2",
            "/v1%2Fpackages",
            "/v1/packages/a/versions/1%2F2",
            "/v1/packages/gk%2Fjwt/x",
            "*",
            "",
        ] {
            check(path, Err(Reason::InvalidPath));
        }
        check("/v1/packages/%252e%252e", Ok(("/v1/packages/{pkg}", &["%2e%2e"])));
    }

    #[test]
    fn trailing_slashes_are_no_aliases() {
        for path in ["/", "/health/", "/v1/packages/", "/v1/packages/a/", "/nope", "/v1/packages/a/b/c"] {
            check(path, Err(Reason::NoSuchRoute));
        }
    }

    #[test]
    fn other_methods_of_a_path_are_named() {
        let both = Found::OtherMethods(vec![Verb::Get, Verb::Patch]);
        assert_eq!(find(Verb::Delete, "/v1/packages/gk/jwt"), Ok(both));
        assert_eq!(find(Verb::Post, "/health"), Ok(Found::OtherMethods(vec![Verb::Get])));
        assert_eq!(Verb::of(&hyper::Method::HEAD), Some(Verb::Get));
        assert_eq!(Verb::of(&hyper::Method::TRACE), None);
    }

    proptest! {
        #[test]
        fn finding_never_panics_and_never_yields_a_forbidden_text(path in "(/(%[0-9a-fA-F]{2}|[a-z./%+]|versions|v1|packages|\\PC){0,4}){0,8}") {
            if let Ok(Found::Row(_, params)) = find(Verb::Get, &path) {
                for (name, text) in params {
                    prop_assert!(!text.is_empty() && !text.contains('\0'));
                    prop_assert!(text.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
                    prop_assert!(text.matches('/').count() <= usize::from(name == "pkg"));
                }
            }
        }

        #[test]
        fn decoding_undoes_encoding(text in "\\PC{0,20}") {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode_once(&encoded), Ok(text));
        }
    }
}
