//! Drives the fuzz targets with seeds that are changed, without an engine for it: on every machine, in every run of the tests.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::{TARGETS, Target};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// How many times as many inputs as usual each target gets.
fn rounds() -> u32 {
    std::env::var("MONKEYCI_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// The seeds of a target.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let dir = fuzz().join("corpus").join(target.name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&dir).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// Numbers that are the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit.max(1)
    }
}

/// Changes a seed in one to eight places.
fn change(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const BYTES: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'*', b'/', b'.', b'<', b'{'];
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(32)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = BYTES[random.below(BYTES.len())],
            2 => input.insert(at, random.next() as u8),
            3 => input.insert(at, BYTES[random.below(BYTES.len())]),
            4 => drop(input.drain(at.min(end)..end)),
            5 => {
                let piece = input[at.min(end)..end].to_vec();
                let times = 1 + random.below(40);
                input.splice(at..at, piece.repeat(times));
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(64 << 10);
    input
}

/// Runs a target on its seeds and on what comes of them. Returns how many inputs that were.
///
/// # Errors
/// Says with which input it panicked, and where that is.
fn drive(target: &Target, inputs: u32) -> Result<u32, String> {
    let seeds = corpus(target);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let run = |input: &[u8]| {
        catch_unwind(|| (target.run)(input)).map(drop).map_err(|_| {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("findings");
            let file = dir.join(format!(
                "{}-{:08x}",
                target.name,
                input.iter().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add((*byte).into()))
            ));
            let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(&file, input));
            format!("{} panics on what is in {} ({kept:?})", target.name, file.display())
        })
    };
    seeds.iter().try_for_each(|seed| run(seed))?;
    for _ in 0..inputs {
        run(&change(&seeds, &mut random))?;
    }
    Ok(seeds.len() as u32 + inputs)
}

#[test]
fn no_bytes_make_any_reader_panic() {
    let rounds = rounds();
    let drive = |target: Target| std::thread::spawn(move || drive(&target, target.inputs.saturating_mul(rounds)));
    let driven: Vec<_> = TARGETS.into_iter().map(drive).collect();
    let mut findings = Vec::new();
    for (target, driven) in TARGETS.iter().zip(driven) {
        match driven.join().expect("panics are caught") {
            Ok(inputs) => println!("{}: {inputs} inputs", target.name),
            Err(finding) => findings.push(finding),
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_target_has_a_corpus_and_a_program_for_cargo_fuzz() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    for target in &TARGETS {
        assert!(corpus(target).len() >= 3, "{} has too few seeds", target.name);
        let program = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{}.rs", target.name)));
        let program = program.expect("a program");
        assert!(program.contains(&format!("run({:?}, bytes)", target.name)), "{program}");
        assert!(manifest.contains(&format!("name = {:?}", target.name)), "{} is not in the manifest", target.name);
    }
}

#[test]
fn some_seeds_of_each_target_are_taken_so_that_what_comes_of_them_gets_far() {
    for target in &TARGETS {
        let seeds = corpus(target);
        let taken = seeds.iter().filter(|seed| (target.run)(seed)).count();
        println!("{}: {taken} of {} seeds", target.name, seeds.len());
        assert!(taken > 0, "no seed of {} is taken", target.name);
    }
}

#[test]
fn a_target_that_panics_is_found_and_its_input_kept() {
    fn panics(bytes: &[u8]) -> bool {
        assert!(!bytes.contains(&b'*'), "a star");
        true
    }
    let target = Target { name: "token", run: panics, inputs: 2000 };
    let finding = drive(&target, target.inputs).expect_err("some input has a star");
    let file = finding.split(" in ").nth(1).and_then(|rest| rest.split(" (").next()).expect("a path");
    assert!(fs::read(file).expect("an input").contains(&b'*'), "{finding}");
    fs::remove_file(file).expect("removed");
}
