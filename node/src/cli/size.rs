//! Sizes on disk as people write them.

/// Bytes of `500M`, `2G` or a plain number; units are powers of 1,024.
///
/// # Errors
/// What was expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..).unwrap_or_default().to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("`{unit}` is no unit; write a number with K, M, G or T")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no size; write 500M, 2G"))?;
    number.checked_mul(1 << power).ok_or_else(|| format!("`{text}` is more than any disk has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("500M"), Ok(500 << 20));
        assert_eq!(bytes("2gib"), Ok(2 << 30));
        for wrong in ["", "G", "1.5G", "-1M", "3 apples", "99999999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
