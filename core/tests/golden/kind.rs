//! One kind of message: which of its bytes are accepted and what they say, which are refused and
//! why, checked in both directions.

use std::fmt::Debug;

use cairn_core::codec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vector::{hex, pin, read_all, reason, render, unhex};

/// A message by name, what it shows, and its bytes.
pub(crate) type Vector = (&'static str, &'static str, Vec<u8>);

/// A value as JSON: as serde sees it, but that three bytes or more are a text of hex digits after
/// `0x`.
fn describe(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) if bytes.len() > 2 => Value::String(format!("0x{}", hex(&bytes))),
                _ => Value::Array(items.into_iter().map(describe).collect()),
            }
        }
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, v)| (name, describe(v))).collect())
        }
        other => other,
    }
}

/// The other way.
fn restore(value: Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => unhex(digits).into(),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().map(restore).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, v)| (name, restore(v))).collect())
        }
        other => other,
    }
}

/// What bytes say.
fn judge<'a, T>(bytes: &'a [u8], max: usize) -> Result<Value, String>
where
    T: Deserialize<'a> + Serialize,
{
    let value: T = codec::decode(bytes, max).map_err(reason)?;
    assert_eq!(codec::encode(&value), bytes);
    Ok(describe(serde_json::to_value(&value).unwrap()))
}

/// Pins the folders `kind/accept` and `kind/refuse` of a type that borrows from its bytes; nothing
/// can be made of its description.
pub(crate) fn check_borrowed(
    kind: &str,
    judge: impl Fn(&[u8]) -> Result<Value, String>,
    accept: &[Vector],
    refuse: &[Vector],
) {
    let accepted = accept.iter().map(|(name, what, bytes)| {
        let value = judge(bytes).unwrap_or_else(|error| panic!("{kind}/{name}: {error}"));
        let fields = [("what", *what), ("bytes", &hex(bytes)), ("value", &value.to_string())];
        (*name, render(&fields))
    });
    pin(&format!("{kind}/accept"), &accepted.collect::<Vec<_>>());
    let refused = refuse.iter().map(|(name, what, bytes)| {
        let error = judge(bytes).err().unwrap_or_else(|| panic!("{kind}/{name} is accepted"));
        (*name, render(&[("what", *what), ("bytes", &hex(bytes)), ("error", &error)]))
    });
    pin(&format!("{kind}/refuse"), &refused.collect::<Vec<_>>());
    for (name, fields) in read_all(&format!("{kind}/accept")) {
        let value = judge(&unhex(&fields["bytes"])).map(|value| value.to_string());
        assert_eq!(value.as_ref(), Ok(&fields["value"]), "{kind}/{name}");
    }
    for (name, fields) in read_all(&format!("{kind}/refuse")) {
        let error = judge(&unhex(&fields["bytes"])).unwrap_err();
        assert_eq!(error, fields["error"], "{kind}/{name}");
    }
}

/// Pins both folders of a type of at most `max` bytes, and makes the bytes again from what is
/// written about them.
pub(crate) fn check<T>(kind: &str, max: usize, accept: &[Vector], refuse: &[Vector])
where
    T: for<'a> Deserialize<'a> + Serialize + Debug + PartialEq,
{
    check_borrowed(kind, |bytes| judge::<T>(bytes, max), accept, refuse);
    for (name, fields) in read_all(&format!("{kind}/accept")) {
        let value: Value = serde_json::from_str(&fields["value"]).unwrap();
        let value: T = serde_json::from_value(restore(value)).unwrap();
        assert_eq!(hex(&codec::encode(&value)), fields["bytes"], "{kind}/{name}");
    }
}

/// What every kind refuses: a byte too many, a byte too few, nothing at all.
pub(crate) fn cut_and_trailing(good: &[u8]) -> Vec<Vector> {
    let trailing = [good, &[0]].concat();
    let cut = good[..good.len() - 1].to_vec();
    vec![
        ("trailing-byte", "one byte after the end", trailing),
        ("truncated", "one byte missing", cut),
        ("nothing", "no bytes", Vec::new()),
    ]
}
