//! Texts that facts and rules are made of: what a label, a name and an item's name may be. Format
//! version 1 fixes these bounds for all meshes.

/// Most bytes of a record's topic, a media type, a relation's predicate, an item's name.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most bytes of the note on a custody fact.
pub const NOTE_BYTES_MAX: usize = 1024;
/// Most bytes of a person's or mesh's name.
pub const NAME_BYTES_MAX: usize = 64;

fn is_text(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

/// Whether a text can be a topic, media type or predicate.
pub fn is_label(text: &str) -> bool {
    is_text(text, LABEL_BYTES_MAX)
}

/// Whether a text can be the name of a person, node or mesh.
pub fn is_name(text: &str) -> bool {
    is_text(text, NAME_BYTES_MAX)
}

/// Whether a text can be the name of an item.
pub fn is_item(text: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

/// What a peer said for people: without control characters, and at most `max` characters.
#[cfg(feature = "alloc")]
pub fn printable(text: &str, max: usize) -> alloc::string::String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_in_bytes_and_control_characters_are_no_text() {
        let long = alloc::string::String::from("ä").repeat(LABEL_BYTES_MAX / 2);
        assert!(is_label(&long) && !is_name(&long));
        assert!(!is_label(&alloc::format!("{long}a")));
        assert!(!is_label("") && !is_name("a\nb") && !is_label("\u{85}"));
        assert!(is_item("Drill_2.b-c") && !is_item("drill 2") && !is_item("") && !is_item("ä"));
    }
}
