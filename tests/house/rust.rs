//! As much of Rust's grammar as the rules need: words and signs without comments, literals and test-only items, and the
//! paths that these spell.

use crate::tree::{self, File};

/// A word (name or number) or one sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path as the code spells it, groups of `use` spread out: `use a::{b, c::d}` is `a::b` and `a::c::d`.
pub(crate) struct Spelled {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Spelled {
    /// Whether these segments stand in the path one after another.
    pub(crate) fn holds(&self, wanted: &str) -> bool {
        let wanted: Vec<&str> = wanted.split("::").collect();
        self.segments.windows(wanted.len()).any(|window| window == wanted.as_slice())
    }
}

/// A Rust file of the library or binary, reduced to what is compiled outside of tests.
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) tokens: Vec<Token>,
}

impl Source {
    /// `file:line: what`
    pub(crate) fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.file.path)
    }
}

/// All Rust files under `src` but those that hold only tests.
pub(crate) fn sources() -> Vec<Source> {
    let read = |file: File| Source { tokens: without_tests(&tokens(&file.text)), file };
    tree::files("src", &["rs"]).into_iter().filter(|file| !is_test_file(&file.path)).map(read).collect()
}

/// Whether a file under `src` is a module of unit tests: `tests.rs`, `…_tests.rs` or below `tests/`.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// The words and signs of a text, without comments, strings and characters.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            '\'' => quote_end(&chars, at),
            'r' | 'b' | 'c' => prefixed_end(&chars, at).unwrap_or_else(|| word_end(&chars, at)),
            other if is_word(other) => word_end(&chars, at),
            _ => at + 1,
        };
        let is_code = is_word(chars[at]) && end == word_end(&chars, at);
        let is_sign = end == at + 1 && !chars[at].is_whitespace() && chars[at] != '\'';
        if is_code || is_sign {
            found.push(Token { text: chars[at..end].iter().collect(), line });
        }
        line += chars[at..end].iter().filter(|&&one| one == '\n').count();
        at = end;
    }
    found
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

fn word_end(chars: &[char], from: usize) -> usize {
    from + chars[from..].iter().take_while(|&&one| is_word(one)).count()
}

fn line_end(chars: &[char], from: usize) -> usize {
    from + chars[from..].iter().take_while(|&&one| one != '\n').count()
}

/// Block comments nest.
fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < chars.len() {
        match chars.get(at..at + 2) {
            Some(['/', '*']) => (at, depth) = (at + 2, depth + 1),
            Some(['*', '/']) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A character literal, or only the sign when it begins a lifetime.
fn quote_end(chars: &[char], from: usize) -> usize {
    if chars.get(from + 1) == Some(&'\\') {
        let rest = chars[from + 3..].iter().take_while(|&&one| one != '\'').count();
        return from + 3 + rest + 1;
    }
    if chars.get(from + 2) == Some(&'\'') { from + 3 } else { from + 1 }
}

/// The end of a literal such as `b"…"`, `r#"…"#` or `b'…'`; nothing when a plain word begins here.
fn prefixed_end(chars: &[char], from: usize) -> Option<usize> {
    let word = word_end(chars, from);
    let prefix: String = chars[from..word].iter().collect();
    let hashes = chars[word..].iter().take_while(|&&one| one == '#').count();
    match (prefix.as_str(), chars.get(word + hashes)?) {
        ("b", '\'') if hashes == 0 => Some(quote_end(chars, word)),
        ("b" | "c", '"') if hashes == 0 => Some(string_end(chars, word)),
        ("r" | "br" | "cr", '"') => {
            let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = word + hashes + 1;
            let length = chars[body..].windows(close.len()).position(|window| window == close.as_slice())?;
            Some(body + length + close.len())
        }
        _ => None,
    }
}

/// Drops every item under `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let marked =
            tokens.len() - at >= MARK.len() && MARK.iter().zip(&tokens[at..]).all(|(mark, token)| token.text == *mark);
        if marked {
            at = item_end(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The end of the item that begins here: its `;`, or the brace that closes its body.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Every path in these tokens; a lone name is a path of one segment.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Spelled> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if starts_word(&tokens[at]) { path(tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

fn starts_word(token: &Token) -> bool {
    token.text.starts_with(is_word)
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    tokens.get(at..at + 2).is_some_and(|two| two.iter().all(|token| token.text == ":"))
}

/// Reads one path from a word on and returns where it ends; groups are read with the path before them as prefix.
fn path(tokens: &[Token], from: usize, prefix: &[String], found: &mut Vec<Spelled>) -> usize {
    let mut segments = prefix.to_vec();
    let mut at = from;
    loop {
        segments.push(tokens[at].text.clone());
        at += 1;
        let next = tokens.get(at + 2);
        if !is_separator(tokens, at) || !next.is_some_and(|token| starts_word(token) || token.text == "{") {
            break;
        }
        at += 2;
        if tokens[at].text == "{" {
            return group(tokens, at + 1, &segments, found);
        }
    }
    found.push(Spelled { segments, line: tokens[from].line });
    at
}

fn group(tokens: &[Token], from: usize, prefix: &[String], found: &mut Vec<Spelled>) -> usize {
    let mut at = from;
    while at < tokens.len() && tokens[at].text != "}" {
        at = if starts_word(&tokens[at]) { path(tokens, at, prefix, found) } else { at + 1 };
    }
    at + 1
}

fn check(text: &str, expected: &[&str]) {
    let told = paths(&without_tests(&tokens(text)));
    let told: Vec<String> = told.iter().map(|path| path.segments.join("::")).collect();
    assert_eq!(told, expected, "{text}");
}

#[test]
fn comments_and_literals_are_no_code() {
    check("a /* b /* c */ d */ e // f\n/// g\nh", &["a", "e", "h"]);
    check(r##"a("b // \" c", r#"d" e"#, b"f", 'g', '\'', b'\n', "\\") h"##, &["a", "h"]);
    check("fn a<'b>(c: &'b d) {}", &["fn", "a", "b", "c", "b", "d"]);
    check("r#type br", &["r", "type", "br"]);
}

#[test]
fn items_under_cfg_test_are_no_code() {
    check("a #[cfg(test)] use b::{c, d}; e", &["a", "e"]);
    check("a #[cfg(test)] mod b { fn c() { [0; 1] } } d", &["a", "d"]);
    check("#[cfg(test)] fn b(c: [u8; 2]) -> d { e } f", &["f"]);
}

#[test]
fn groups_are_spread_out() {
    check(
        "use a::{b, c::{self, d as e}, f::*}; g",
        &["use", "a::b", "a::c::self", "a::c::d", "a::c::as", "a::c::e", "a::f", "g"],
    );
    check("a::<b>::c(d::e)", &["a", "b", "c", "d::e"]);
}

#[test]
fn a_path_holds_segments_in_their_order() {
    let told = paths(&tokens("use std::{fs::File, io};"));
    assert!(told.iter().any(|path| path.holds("std::fs")));
    assert!(!told.iter().any(|path| path.holds("fs::std") || path.holds("std::env")));
}
