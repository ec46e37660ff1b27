//! Lines of an import: bytes that arrive in pieces become lines, and a line becomes a record to be
//! signed, a line to skip, or a reason why it is refused. Knows nothing of HTTP or of the ledger.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cairn_core::fact::Body;
use cairn_core::params::FACT_BYTES_MAX;
use serde::Deserialize;

/// Most bytes of a line; the largest fact in base64 with its other fields is well below.
pub const LINE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a signed record beside its topic, media type and content: author, time, signature and
/// the lengths, at their longest.
const RECORD_OVERHEAD: usize = 32 + 10 + 64 + 12;

/// A line, numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: u64,
    /// Its bytes without the line feed; none if there were more than `LINE_BYTES_MAX`.
    pub bytes: Option<Vec<u8>>,
}

/// Cuts a stream of bytes into lines and holds at most one line's worth of them.
#[derive(Debug, Default)]
pub struct Splitter {
    partial: Vec<u8>,
    overlong: bool,
    number: u64,
}

impl Splitter {
    /// Takes the next bytes and gives every line that ends in them; blank lines are only counted.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end]);
            self.end_line(&mut each);
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    /// The stream is over: gives the last line if no line feed ended it.
    pub fn finish(mut self, mut each: impl FnMut(Line)) {
        if self.overlong || !self.partial.is_empty() {
            self.end_line(&mut each);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.overlong || self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            self.overlong = true;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(Line)) {
        self.number += 1;
        let bytes = std::mem::take(&mut self.partial);
        let overlong = std::mem::take(&mut self.overlong);
        if overlong || !bytes.trim_ascii().is_empty() {
            each(Line { number: self.number, bytes: (!overlong).then_some(bytes) });
        }
    }
}

/// Something to be written down and signed by this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// What it is about.
    pub topic: String,
    /// How to read the bytes.
    pub media_type: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl NewRecord {
    /// As a body.
    pub fn body(&self) -> Body<'_> {
        Body::Record { topic: &self.topic, media_type: &self.media_type, bytes: &self.bytes }
    }

    /// Checks the bounds, so that signing it cannot fail.
    ///
    /// # Errors
    /// What is out of bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        self.body().check().map_err(|error| error.to_string())?;
        let max = FACT_BYTES_MAX - RECORD_OVERHEAD - self.topic.len() - self.media_type.len();
        if self.bytes.len() > max {
            let got = self.bytes.len();
            return Err(format!("the content has {got} bytes where {max} are allowed"));
        }
        Ok(())
    }
}

/// The fields of a record as they come in JSON; every other field is ignored, so that an exported
/// document can be imported.
#[derive(Debug, Deserialize)]
pub struct RecordDto {
    kind: Option<String>,
    topic: Option<String>,
    media_type: Option<String>,
    text: Option<String>,
    base64: Option<String>,
}

impl RecordDto {
    /// The record; none if it is a body of another kind.
    ///
    /// # Errors
    /// What is missing or out of bounds, in words.
    pub fn record(self) -> Result<Option<NewRecord>, String> {
        if self.kind.is_some_and(|kind| kind != "record") {
            return Ok(None);
        }
        let topic = self.topic.ok_or("there is no `topic`")?;
        let (bytes, default_type) = match (self.text, self.base64) {
            (Some(text), None) => (text.into_bytes(), "text/plain"),
            (None, Some(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                let bytes = bytes.map_err(|error| format!("`base64` does not decode: {error}"))?;
                (bytes, "text/plain")
            }
            (None, None) => return Err("there is neither `text` nor `base64`".into()),
            (Some(_), Some(_)) => return Err("there are both `text` and `base64`".into()),
        };
        let record = NewRecord {
            topic,
            media_type: self.media_type.unwrap_or_else(|| default_type.into()),
            bytes,
        };
        record.check()?;
        Ok(Some(record))
    }
}

impl Line {
    /// The record that the line asks for; none if it is a document of another kind.
    ///
    /// # Errors
    /// Why it is not one, in words.
    pub fn parse(&self) -> Result<Option<NewRecord>, String> {
        let too_long = || format!("the line has more than {LINE_BYTES_MAX} bytes");
        let bytes = self.bytes.as_deref().ok_or_else(too_long)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 after byte {}", error.valid_up_to()))?;
        let dto: RecordDto = serde_json::from_str(text)
            .map_err(|error| format!("not a JSON record: {error}").replace(" at line 1", " at"))?;
        dto.record()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(u64, Option<Vec<u8>>)> {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        let mut each = |line: Line| out.push((line.number, line.bytes));
        for piece in pieces {
            splitter.push(piece, &mut each);
        }
        splitter.finish(&mut each);
        out
    }

    fn parse(text: &str) -> Result<Option<NewRecord>, String> {
        Line { number: 1, bytes: Some(text.into()) }.parse()
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut() {
        let whole = b"one\n\n  \ntwo\r\nthree";
        let expected = vec![
            (1, Some(b"one".to_vec())),
            (4, Some(b"two\r".to_vec())),
            (5, Some(b"three".to_vec())),
        ];
        for cut in 0..whole.len() {
            assert_eq!(lines(&[&whole[..cut], &whole[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_overlong_line_costs_no_memory_and_the_next_one_is_read() {
        let half = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        let got = lines(&[b"a\n", &half, &half, &half, b"\nb\n"]);
        let expected = vec![(1, Some(b"a".to_vec())), (2, None), (3, Some(b"b".to_vec()))];
        assert_eq!(got, expected);
    }

    #[test]
    fn records_take_text_or_base64_and_a_default_media_type() {
        let text = parse(r#"{"topic":"t","text":"hallo"}"#).unwrap().unwrap();
        assert_eq!((text.media_type.as_str(), &text.bytes[..]), ("text/plain", &b"hallo"[..]));
        let line = r#"{"topic":"t","base64":"AP8=","media_type":"a/b","state":"sealed"}"#;
        let bytes = parse(line).unwrap().unwrap();
        assert_eq!((bytes.media_type.as_str(), &bytes.bytes[..]), ("a/b", &[0, 255][..]));
    }

    #[test]
    fn other_kinds_are_skipped_and_broken_lines_say_why() {
        assert_eq!(parse(r#"{"kind":"release","item":"x"}"#), Ok(None));
        for (line, why) in [
            (r#"{"topic":"t"}"#, "neither"),
            (r#"{"topic":"t","text":"a","base64":"YQ=="}"#, "both"),
            (r#"{"text":"a"}"#, "`topic`"),
            (r#"{"topic":"","text":"a"}"#, "topic must have"),
            (r#"{"topic":"t","base64":"*"}"#, "does not decode"),
            ("{", "not a JSON record"),
            ("[1]", "not a JSON record"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
        let broken = Line { number: 1, bytes: Some(b"{\"topic\":\"\xff\"}".to_vec()) };
        assert!(broken.parse().unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn the_largest_permitted_content_still_signs() {
        use cairn_core::fact::{EncodedFact, Fact};
        use cairn_core::id::MeshId;
        use cairn_core::signature::SigningKey;
        use cairn_core::time::UnixTime;
        let key = SigningKey::from_seed([1; 32]);
        let mut record = NewRecord {
            topic: "t".repeat(128),
            media_type: "m".repeat(128),
            bytes: vec![7; FACT_BYTES_MAX - RECORD_OVERHEAD - 256],
        };
        assert_eq!(record.check(), Ok(()));
        let fact = Fact { author: key.node_id(), time: UnixTime(u64::MAX), body: record.body() };
        assert!(EncodedFact::sign(fact, &MeshId::ZERO, &key).is_ok());
        record.bytes.push(7);
        assert!(record.check().is_err());
    }
}
