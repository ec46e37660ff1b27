//! Reads the golden vectors (`tests/golden`), which are compiled in as text.

use heapless::Vec;

/// Room for the largest vector used here.
pub type Bytes = Vec<u8, 1024>;

/// The hex value of `key` in a vector; the value may go on over indented lines.
pub fn field(text: &str, key: &str) -> Bytes {
    let mut out = Bytes::new();
    let mut inside = false;
    for line in text.lines() {
        let value = match line.strip_prefix(' ') {
            Some(more) if inside => more,
            Some(_) => continue,
            None => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                inside = name == key;
                if !inside {
                    continue;
                }
                value
            }
        };
        for pair in value.trim().as_bytes().chunks(2) {
            let byte = core::str::from_utf8(pair)
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .expect("a golden vector is hex");
            out.push(byte).expect("a golden vector fits");
        }
    }
    assert!(!out.is_empty(), "the golden vector has no field {key}");
    out
}

/// The 32-byte value of `key`.
pub fn digest(text: &str, key: &str) -> [u8; 32] {
    field(text, key).as_slice().try_into().expect("the field is 32 bytes")
}
