//! How much of what a script has looked up it may hold at a time.

/// Bytes of outcomes and events that a guest holds by handles.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: usize,
    limit: usize,
}

impl Held {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: 0, limit }
    }

    /// Counts what the guest is to hold, until it lets it go. One thing alone may be larger than the limit: it could never be read
    /// otherwise.
    ///
    /// # Errors
    /// Says what to do when it holds too much already.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        let all = self.bytes.saturating_add(bytes);
        if all > self.limit && self.bytes > 0 {
            let Self { bytes, limit } = self;
            return Err(format!(
                "what this script has looked up takes {bytes} bytes, and may take {limit}; let some of it go first"
            ));
        }
        self.bytes = all;
        Ok(())
    }

    /// The guest has let something go.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_holds_what_fits_or_one_large_thing_and_more_when_it_has_let_go() {
        let mut held = Held::new(10);
        held.take(6).expect("it fits");
        let refused = held.take(5).expect_err("it does not fit");
        assert!(refused.contains("takes 6 bytes, and may take 10"), "{refused}");
        held.let_go(6);
        held.take(50).expect("alone");
        held.take(1).expect_err("it is not alone");
    }
}
