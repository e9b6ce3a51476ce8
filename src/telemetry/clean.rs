//! What may be written into a log or shown on a terminal: text that others sent, made harmless.

use std::borrow::Cow;

/// The most characters of one logged value.
pub const VALUE_CHARS_MAX: usize = 512;

/// What every token begins with, and from how many characters behind it on text counts as one.
const TOKEN_PREFIX: &str = "vixr_";
const TOKEN_CHARS_MIN: usize = 16;

/// A value as it may be logged: at most [`VALUE_CHARS_MAX`] characters, nothing that acts on a terminal or hides text,
/// and no token of this registry.
pub fn clean(text: &str) -> Cow<'_, str> {
    clean_to(text, VALUE_CHARS_MAX)
}

/// As [`clean`], cut to another length; what was cut off is told by `…`.
pub fn clean_to(text: &str, chars_max: usize) -> Cow<'_, str> {
    let masked = mask_tokens(text);
    let fits = masked.len() <= chars_max || masked.chars().nth(chars_max).is_none();
    if fits && !masked.chars().any(is_unsafe) {
        return masked;
    }
    let mut out = String::with_capacity(masked.len().min(chars_max * 2));
    for c in masked.chars().take(chars_max) {
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if !fits {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Whether a character acts instead of showing itself: controls, line and paragraph separators, marks that change the
/// direction of text (Unicode TR 9) or that take no room.
pub fn is_unsafe(c: char) -> bool {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    c.is_control() || hidden || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Replaces what looks like a token of this registry by its prefix and `***`.
fn mask_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(TOKEN_PREFIX) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN_PREFIX) {
        let (before, found) = rest.split_at(at + TOKEN_PREFIX.len());
        out.push_str(before);
        let end = found.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(found.len());
        let (body, after) = found.split_at(end);
        out.push_str(if body.len() >= TOKEN_CHARS_MIN { "***" } else { body });
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_left_alone_without_a_copy() {
        for text in ["", "gk/jwt 1.2.0", "Grüße, 世界 👋", "a\\b\"c"] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn characters_that_act_are_escaped() {
        for (text, expected) in [
            ("a\nb\r", "a\\u{a}b\\u{d}"),
            ("\u{1b}[31m\u{7}", "\\u{1b}[31m\\u{7}"),
            ("\u{9b}\u{7f}", "\\u{9b}\\u{7f}"),
            ("x\u{202e}y\u{2066}z\u{200f}", "x\\u{202e}y\\u{2066}z\\u{200f}"),
            ("\u{2028}\u{200b}\u{feff}", "\\u{2028}\\u{200b}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        let text = "ü".repeat(VALUE_CHARS_MAX);
        assert_eq!(clean(&text), text);
        let cut = clean_to("üüüü", 3);
        assert_eq!(cut, "üüü…");
    }

    #[test]
    fn tokens_never_pass() {
        let token = format!("vixr_{}", "aB3".repeat(16));
        assert_eq!(clean(&format!("/v1/{token}/x?{token}")), "/v1/vixr_***/x?vixr_***");
        assert_eq!(clean("vixr_tools vixr_"), "vixr_tools vixr_");
        let near_the_cut = format!("{}{token}", "x".repeat(VALUE_CHARS_MAX - 20));
        assert!(!clean(&near_the_cut).contains("aB3"));
    }
}
