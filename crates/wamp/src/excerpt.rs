//! Texts that repeat what a peer has sent, cut to what people read. Knows no message.

/// How many bytes of a text for people are shown, about.
pub const SHOWN: usize = 1000;

/// The text, or its beginning and its end where it is longer than `limit`: the one says what is
/// wrong, the other mostly what to do.
///
/// What a peer sent is repeated to it in many places; without a bound an answer could be longer
/// than the message, and three times so where all of it is escaped.
pub fn excerpt(text: impl Into<String>, limit: usize) -> String {
    let text = text.into();
    if text.len() <= limit {
        return text;
    }
    let head = &text[..text.floor_char_boundary(limit / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - limit / 2)..];
    let hidden = text.len() - head.len() - tail.len();
    format!("{head} [{hidden} bytes more] {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_text_is_left_out() {
        assert_eq!(excerpt("12345678", 8), "12345678");
        assert_eq!(excerpt("123456789", 4), "12 [5 bytes more] 89");
        assert_eq!(excerpt("äöüß", 6), "ä [4 bytes more] ß");
        assert!(excerpt("x".repeat(5_000_000), SHOWN).len() < SHOWN + 50);
    }
}
