//! How fast output is masked with a hundred secrets, beside a plain copy and beside simpler maskers. They alternate in
//! one run, so that all see the same machine; the medians are compared.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use monkeyci_mask::Masks;

const CHUNK: usize = 64 * 1024;
const SIZE: usize = 8 << 20;

fn main() {
    let secrets = secrets(100);
    let masks = masks(&secrets);
    for (name, text) in [
        ("a compiler's log", log(SIZE, &[])),
        ("base64", base64(SIZE)),
        ("a log with a secret in every 20th line", log(SIZE, &secrets)),
    ] {
        compare(name, &text, &masks, &secrets);
    }
    hostile();
    build(&secrets);
}

/// Letters and digits, as tokens are, 20 to 60 of them; two of the hundred are private keys.
fn secrets(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let mut text = |length: usize| -> Vec<u8> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..length).map(|_| LETTERS[random.below(LETTERS.len())]).collect()
    };
    let mut secrets: Vec<_> = (0..count - 2).map(|n| text(20 + n * 40 / count)).collect();
    for _ in 0..2 {
        let lines: Vec<_> = (0..26).map(|_| text(64)).collect();
        secrets
            .push([b"-----BEGIN PRIVATE KEY-----", &*lines.join(&b'\n'), b"-----END PRIVATE KEY-----\n"].join(&b'\n'));
    }
    secrets
}

fn masks(secrets: &[Vec<u8>]) -> Masks {
    Masks::new(secrets.iter().map(|secret| ("secret", secret.clone()))).expect("masks")
}

/// Lines as cargo, npm and a web server's access log have them.
fn log(size: usize, secrets: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random(1);
    let mut text = Vec::with_capacity(size + 4096);
    for line in 0.. {
        if text.len() >= size {
            break;
        }
        let n = random.below(100_000);
        text.extend(match line % 4 {
            0 => format!("   Compiling serde_json v1.0.{n} (/home/build/workspace/host/json)\n").into_bytes(),
            1 => format!("warning: unused variable `value{n}` --> src/controller/session.rs:{}:17\n", n % 900)
                .into_bytes(),
            2 => format!("10.0.3.{} - - [22/Nov/2026] \"GET /api/v2/items/{n} HTTP/1.1\" 200 {n}\n", n % 256)
                .into_bytes(),
            _ => {
                format!("npm WARN deprecated har-validator@5.1.{n}: this library is no longer supported\n").into_bytes()
            }
        });
        if line % 20 == 0 && !secrets.is_empty() {
            text.extend(b"token=");
            text.extend(&secrets[random.below(secrets.len() - 2)]);
            text.push(b'\n');
        }
    }
    text.truncate(size);
    text
}

fn base64(size: usize) -> Vec<u8> {
    let mut random = Random(3);
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..size).map(|n| if n % 77 == 76 { b'\n' } else { LETTERS[random.below(LETTERS.len())] }).collect()
}

fn compare(name: &str, text: &[u8], masks: &Masks, secrets: &[Vec<u8>]) {
    let out = RefCell::new(Vec::with_capacity(2 * CHUNK));
    let in_chunks_of = |length, take: &mut dyn FnMut(&[u8], &mut Vec<u8>)| {
        for chunk in text.chunks(length) {
            out.borrow_mut().clear();
            take(chunk, &mut out.borrow_mut());
            black_box(&out);
        }
    };
    let in_chunks = |take: &mut dyn FnMut(&[u8], &mut Vec<u8>)| in_chunks_of(CHUNK, take);
    // What one would write in a minute: the plain secrets only, none across chunks.
    let simple = AhoCorasick::new(secrets).expect("an automaton");
    let replacements = vec!["***"; secrets.len()];
    let mut ours = || {
        let mut stream = masks.stream();
        in_chunks(&mut |chunk, out| stream.push(chunk, out));
    };
    let mut short = || {
        let mut stream = masks.stream();
        in_chunks_of(100, &mut |chunk, out| stream.push(chunk, out));
    };
    let mut copy = || in_chunks(&mut |chunk, out| out.extend_from_slice(chunk));
    let mut automaton = || {
        in_chunks(&mut |chunk, out| out.extend(simple.replace_all_bytes(chunk, &replacements)));
    };
    let mut naive = || {
        in_chunks(&mut |chunk, out| {
            let text = String::from_utf8_lossy(chunk);
            let masked = secrets
                .iter()
                .fold(text.into_owned(), |text, secret| text.replace(&*String::from_utf8_lossy(secret), "***"));
            out.extend_from_slice(masked.as_bytes());
        });
    };

    let mut times = [const { Vec::new() }; 5];
    for _ in 0..11 {
        let runs: [&mut dyn FnMut(); 5] = [&mut ours, &mut short, &mut copy, &mut automaton, &mut naive];
        for (times, run) in times.iter_mut().zip(runs) {
            times.push(time(run));
        }
    }
    let [ours, short, copy, automaton, naive] = times.map(median);
    println!("{name}, {} MiB in chunks of 64 KiB, 100 secrets (median of 11)", text.len() >> 20);
    row("ours, all encodings", text.len(), ours, None);
    row("ours, all encodings, in chunks of 100 bytes", text.len(), short, Some(ours));
    row("plain copy", text.len(), copy, Some(ours));
    row("aho-corasick, plain secrets only, no borders", text.len(), automaton, Some(ours));
    row("str::replace, plain secrets only, no borders", text.len(), naive, Some(ours));
    println!();
}

/// Output made to be slow: beginnings of secrets that overlap themselves.
fn hostile() {
    let mut cases = Vec::new();
    for letters in ["a", "ab", "abcdefg"] {
        let secret = |n: usize| format!("{}b{n}", letters.repeat(n * 10 / letters.len() + 1)).into_bytes();
        let text = letters.repeat(SIZE / letters.len()).into_bytes();
        cases.push((format!("{letters:?} again and again"), (1..=100).map(secret).collect::<Vec<_>>(), text));
    }
    // Nobody can guess how this goes on, nor can the processor. It takes secrets that nobody has.
    let mut random = Random(5);
    let mut text = |length: usize| -> Vec<u8> { (0..length).map(|_| b"ab"[random.below(2)]).collect() };
    cases.push(("\"a\" and \"b\" at random".to_owned(), (0..100).map(|_| text(40)).collect(), text(SIZE)));

    println!("hostile output: 100 secrets of these letters, and nothing but these letters (median of 11)");
    for (name, secrets, text) in cases {
        let masks = masks(&secrets);
        let mut out = Vec::new();
        let mut run = || {
            let mut stream = masks.stream();
            for chunk in text.chunks(CHUNK) {
                out.clear();
                stream.push(chunk, &mut out);
            }
        };
        row(&name, text.len(), median((0..11).map(|_| time(&mut run)).collect()), None);
    }
    println!();
}

/// What a secret costs that is added while the build runs.
fn build(secrets: &[Vec<u8>]) {
    let took = median((0..11).map(|_| time(&mut || drop(black_box(masks(secrets))))).collect());
    println!("masks of 100 secrets are built in {took:.1?} (median of 11)");
}

fn time(run: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn row(name: &str, bytes: usize, took: Duration, ours: Option<Duration>) {
    let speed = bytes as f64 / 1e6 / took.as_secs_f64();
    let ratio = ours
        .map_or(String::new(), |ours| format!("  ours is {:.2} x as fast", took.as_secs_f64() / ours.as_secs_f64()));
    println!("  {name:<46} {speed:>7.0} MB/s{ratio}");
}

/// xorshift: the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
