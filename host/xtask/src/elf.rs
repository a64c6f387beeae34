//! Is a program static? One that is not does not run in an image without a C library.

/// Whether an ELF program needs no dynamic loader. `None` for what is not a little-endian 64-bit ELF file.
pub fn is_static(bytes: &[u8]) -> Option<bool> {
    const INTERP: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(size)?)?;
        Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(0x20, 8)?).ok()?;
    let size = usize::try_from(number(0x36, 2)?).ok()?;
    let count = usize::try_from(number(0x38, 2)?).ok()?;
    for index in 0..count {
        if number(table.checked_add(size.checked_mul(index)?)?, 4)? == u64::from(INTERP) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_dynamic_and_text_is_neither() {
        let own = std::fs::read(std::env::current_exe().expect("own path")).expect("own bytes");
        assert_eq!(is_static(&own), Some(cfg!(target_feature = "crt-static")));
        assert_eq!(is_static(b"#!/bin/sh\n"), None);
        assert_eq!(is_static(&own[..40]), None);
    }
}
