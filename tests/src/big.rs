//! Data of a size, for benchmarks.

/// Lines for a shell that make the directory `out` with this much data in it: half of it random, half of it text that
/// compresses well.
pub fn script(mebibytes: u32) -> String {
    let half = u64::from(mebibytes) << 19;
    format!(
        "mkdir -p out\nhead -c {half} /dev/urandom >out/random\nyes 'a line of text that is like all the others' | head -c {half} >out/text"
    )
}
