//! What must be known of a JSON text before it is parsed: that it is UTF-8, not too deep, and says nothing twice.
//!
//! A parser into maps keeps the last of two equal keys and has a depth limit of its own; the contract refuses both
//! sooner and names the place. [`check_json`] builds no values and judges no scalars: after it, the text still has to
//! be parsed.

use std::borrow::Cow;
use std::collections::HashSet;

use super::name::shown;

/// Why a JSON text is refused before it is parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JsonFault {
    /// Objects and arrays are nested more than `depth_max` deep.
    TooDeep {
        /// The limit that was passed.
        depth_max: u32,
    },
    /// One object names the same key twice (compared after `\u` escapes are undone).
    DuplicateKey {
        /// Where the object is, such as `dependencies[3]`; empty for the outermost one.
        path: String,
        /// The key, cut to 80 characters and free of control characters.
        key: String,
    },
    /// Brackets, quotes, commas, colons or UTF-8 are broken at this place; both numbers count from 1, in bytes.
    Malformed {
        /// Line of the first byte that makes no sense.
        line: usize,
        /// Column of that byte.
        column: usize,
    },
}

impl JsonFault {
    /// The path of the field that was refused, as `path.key`; `None` when the fault has no field.
    pub fn field(&self) -> Option<String> {
        match self {
            Self::TooDeep { .. } | Self::Malformed { .. } => None,
            Self::DuplicateKey { path, key } if path.is_empty() => Some(key.clone()),
            Self::DuplicateKey { path, key } => Some(format!("{path}.{key}")),
        }
    }
}

/// Checks nesting, repeated keys and structure in one pass; memory is bounded by the keys of the open objects.
///
/// Depth 1 is a lone `{}` or `[]`. `Ok` promises that a parser that accepts the text sees no key twice and nothing
/// deeper than `depth_max`; numbers, `true` and the like, and escapes outside of keys are left to that parser.
///
/// # Errors
/// The first [`JsonFault`] in reading order (but UTF-8 is checked as a whole, first).
pub fn check_json(bytes: &[u8], depth_max: u32) -> Result<(), JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|fault| malformed(bytes, fault.valid_up_to()))?;
    let mut scanner = Scanner { text, at: 0, open: Vec::new(), depth_max };
    loop {
        let opened = scanner.value()?;
        if opened {
            continue;
        }
        if !scanner.after_value()? {
            return Ok(());
        }
    }
}

/// An object or array that is not closed yet, and the place in it.
enum Frame<'a> {
    /// `key` is the current one as written, escapes and all.
    Object {
        keys: HashSet<Cow<'a, str>>,
        key: &'a str,
    },
    Array {
        index: u64,
    },
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Frame<'a>>,
    depth_max: u32,
}

impl<'a> Scanner<'a> {
    /// Reads a scalar, an empty container, or the start of another one; true when a value inside of it comes next.
    fn value(&mut self) -> Result<bool, JsonFault> {
        match self.peek() {
            Some(b'{') => {
                self.enter(Frame::Object { keys: HashSet::new(), key: "" })?;
                if self.peek() == Some(b'}') {
                    return Ok(false);
                }
                self.key()?;
                Ok(true)
            }
            Some(b'[') => {
                self.enter(Frame::Array { index: 0 })?;
                Ok(self.peek() != Some(b']'))
            }
            Some(b'"') => self.string().map(|_| false),
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let length = rest.iter().take_while(|b| matches!(b, b'+' | b'-' | b'.') || b.is_ascii_alphanumeric());
                match length.count() {
                    0 => Err(self.malformed()),
                    count => {
                        self.at += count;
                        Ok(false)
                    }
                }
            }
        }
    }

    /// Closes what ends here and goes on to the next value; false at the end of the text.
    fn after_value(&mut self) -> Result<bool, JsonFault> {
        loop {
            let byte = self.peek();
            match (self.open.last_mut(), byte) {
                (None, None) => return Ok(false),
                (Some(Frame::Object { .. }), Some(b',')) => {
                    self.at += 1;
                    self.key()?;
                    return Ok(true);
                }
                (Some(Frame::Array { index }), Some(b',')) => {
                    *index += 1;
                    self.at += 1;
                    return Ok(true);
                }
                (Some(Frame::Object { .. }), Some(b'}')) | (Some(Frame::Array { .. }), Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                _ => return Err(self.malformed()),
            }
        }
    }

    fn enter(&mut self, frame: Frame<'a>) -> Result<(), JsonFault> {
        if self.open.len() >= self.depth_max as usize {
            return Err(JsonFault::TooDeep { depth_max: self.depth_max });
        }
        self.at += 1;
        self.open.push(frame);
        Ok(())
    }

    /// Reads `"key":` of the innermost object.
    fn key(&mut self) -> Result<(), JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        let start = self.at;
        let raw = self.string()?;
        let Some(decoded) = unescape(raw) else {
            return Err(malformed(self.text.as_bytes(), start));
        };
        if let Some(Frame::Object { keys, key }) = self.open.last_mut() {
            *key = raw;
            if keys.contains(&decoded) {
                return Err(JsonFault::DuplicateKey { path: self.path(), key: shown(&decoded) });
            }
            keys.insert(decoded);
        }
        if self.peek() != Some(b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a string from its opening quote on and returns what stands between the quotes.
    fn string(&mut self) -> Result<&'a str, JsonFault> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        self.at = start;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') if bytes.get(self.at + 1).is_some_and(u8::is_ascii_graphic) => self.at += 2,
                Some(&byte) if byte >= b' ' && byte != b'\\' => self.at += 1,
                _ => return Err(self.malformed()),
            }
        }
    }

    /// The next byte that is no white space, which is skipped.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Where the innermost object is.
    fn path(&self) -> String {
        let mut path = String::new();
        let outer = self.open.len().saturating_sub(1);
        for frame in &self.open[..outer] {
            match frame {
                Frame::Object { key, .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&shown(&unescape(key).unwrap_or_default()));
                }
                Frame::Array { index } => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        path
    }

    fn malformed(&self) -> JsonFault {
        malformed(self.text.as_bytes(), self.at)
    }
}

fn malformed(bytes: &[u8], at: usize) -> JsonFault {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
    let newlines = before.iter().fold(0, |count, &b| count + usize::from(b == b'\n'));
    JsonFault::Malformed { line: newlines + 1, column: before.len() - line_start + 1 }
}

/// Undoes the escapes of a string; `None` for an unknown escape or half a surrogate pair.
fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    let Some(first) = raw.find('\\') else {
        return Some(Cow::Borrowed(raw));
    };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(tail) = rest.strip_prefix('\\') {
        let (decoded, after) = escape(tail)?;
        text.push(decoded);
        let next = after.find('\\').unwrap_or(after.len());
        text.push_str(&after[..next]);
        rest = &after[next..];
    }
    Some(Cow::Owned(text))
}

/// The character that an escape stands for, given what follows its backslash, and what comes after it.
fn escape(tail: &str) -> Option<(char, &str)> {
    let after = tail.get(1..)?;
    let plain = match tail.as_bytes()[0] {
        byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (high, after) = hex4(after)?;
            if let Some(decoded) = char::from_u32(high) {
                return Some((decoded, after));
            }
            let (low, after) = hex4(after.strip_prefix("\\u")?)?;
            let paired = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
            let code = paired.then(|| 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?;
            return Some((char::from_u32(code)?, after));
        }
        _ => return None,
    };
    Some((plain, after))
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &Result<(), JsonFault>) {
        assert_eq!(&check_json(text.as_bytes(), 4), expected, "{text}");
    }

    fn duplicate(path: &str, key: &str) -> Result<(), JsonFault> {
        Err(JsonFault::DuplicateKey { path: path.to_owned(), key: key.to_owned() })
    }

    #[test]
    fn sound_texts_pass() {
        for text in ["{}", "[]", " 1 ", "\"\\\"\"", "{\"a\":[1,{\"a\":null}],\"b\":{\"a\":-1.5e+3}}", "[[],[],{}]\n"] {
            check(text, &Ok(()));
        }
    }

    #[test]
    fn depth_is_counted_from_one_and_siblings_do_not_add_up() {
        check("[[[[]]],[[[]]],[[[1]]]]", &Ok(()));
        check("[[[[[]]]]]", &Err(JsonFault::TooDeep { depth_max: 4 }));
        check("{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", &Err(JsonFault::TooDeep { depth_max: 4 }));
        check(&"[".repeat(1 << 20), &Err(JsonFault::TooDeep { depth_max: 4 }));
    }

    #[test]
    fn repeated_keys_are_found_with_their_place() {
        check("{\"a\":1,\"b\":2,\"a\":3}", &duplicate("", "a"));
        check("{\"d\":[0,{\"x\":{\"k\":1,\"k\":1}}]}", &duplicate("d[1].x", "k"));
        check("[{\"a\":1},{\"a\":1}]", &Ok(()));
        check("{\"a\":{\"a\":1}}", &Ok(()));
        check("{\"\":1,\"\":2}", &duplicate("", ""));
    }

    #[test]
    fn keys_are_compared_after_their_escapes() {
        check("{\"name\":1,\"n\\u0061me\":2}", &duplicate("", "name"));
        check("{\"\\ud83d\\ude00\":1,\"\u{1f600}\":2}", &duplicate("", "\u{1f600}"));
        check("{\"a\\/b\":1,\"a/b\":2}", &duplicate("", "a/b"));
        check("{\"\\n\":1,\"\\u000A\":2}", &duplicate("", "\u{fffd}"));
        check("{\"a\":1,\"A\":2}", &Ok(()));
    }

    #[test]
    fn broken_structure_tells_its_place() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{", 1, 2),
            ("{\n\"a\" 1}", 2, 5),
            ("[1,]", 1, 4),
            ("{\"a\":1,}", 1, 8),
            ("[1 2]", 1, 4),
            ("[1}", 1, 3),
            ("1 1", 1, 3),
            ("\"a", 1, 3),
            ("\"\u{1}\"", 1, 2),
            ("{\"\\ud800\":1}", 1, 2),
            ("{\"\\q\":1}", 1, 2),
            ("{\"\\u+123\":1}", 1, 2),
            ("{1:2}", 1, 2),
            ("]", 1, 1),
        ] {
            check(text, &Err(JsonFault::Malformed { line, column }));
        }
        assert_eq!(check_json(b"[\n\xff]", 4), Err(JsonFault::Malformed { line: 2, column: 1 }));
    }

    #[test]
    fn fields_are_named_by_path_and_key() {
        let fault = check_json(b"{\"a\":{\"b\":1,\"b\":1}}", 4).unwrap_err();
        assert_eq!(fault.field().as_deref(), Some("a.b"));
        assert_eq!(JsonFault::TooDeep { depth_max: 1 }.field(), None);
    }

    fn json_tree() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into)
        ];
        leaf.prop_recursive(3, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::vec((".{0,3}", inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_parser_wrote_passes(value in json_tree()) {
            prop_assert_eq!(check_json(value.to_string().as_bytes(), 4), Ok(()));
        }

        #[test]
        fn whatever_a_parser_accepts_is_not_malformed(text in "[\\[\\]{},:\"\\\\au0d8e1. -]{0,24}") {
            let checked = check_json(text.as_bytes(), 64);
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                let malformed = matches!(checked, Err(JsonFault::Malformed { .. }));
                prop_assert!(!malformed, "{:?}", checked);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), depth in 0u32..4) {
            let checked = check_json(&bytes, depth);
            if checked.is_ok() {
                prop_assert!(std::str::from_utf8(&bytes).is_ok());
            }
        }
    }
}
