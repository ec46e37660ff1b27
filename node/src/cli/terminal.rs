//! What may reach a terminal: text that came from peers loses everything that could move the
//! cursor, change colours or reorder what is read.

/// Whether a character could do more than show itself.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line of harmless text; line breaks and tabs become spaces.
pub(super) fn line(text: &str) -> String {
    let blank = |c| if matches!(c, '\n' | '\t') { ' ' } else { c };
    text.chars().map(blank).filter(|c| !is_active(*c)).collect()
}

/// Harmless text that keeps its line breaks and tabs.
pub(super) fn block(text: &str) -> String {
    let keep = |c: &char| matches!(c, '\n' | '\t') || !is_active(*c);
    text.chars().filter(keep).collect()
}

/// At most `max` characters of one harmless line.
pub(super) fn cut(text: &str, max: usize) -> String {
    let text = line(text);
    if text.chars().count() <= max {
        return text;
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// A time in milliseconds since the epoch, for people.
pub(super) fn time(millis: u64) -> String {
    let stamp =
        i64::try_from(millis).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(
        || format!("{millis} ms"),
        |stamp| stamp.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reordering_marks_are_removed() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{7}\u{202e}d\re\nf";
        assert_eq!(line(hostile), "a[2Jb31mcde f");
        assert_eq!(block(hostile), "a[2Jb31mcde\nf");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }

    #[test]
    fn times_beyond_the_calendar_are_shown_raw() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(u64::MAX), format!("{} ms", u64::MAX));
    }
}
