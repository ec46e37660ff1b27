//! Stages of belief as types: what came from outside is `Unverified<T>`, and only `signature.rs`'s
//! and `seal/`'s checks turn it into `Verified<T>`. Nobody else can make one.

/// A value that nothing has been proved about but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<T>(pub T);

/// A value whose signature or seal has been checked (or that this node made itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Only the modules that verify call this.
    pub(crate) const fn proven(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value, no longer marked.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> core::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
