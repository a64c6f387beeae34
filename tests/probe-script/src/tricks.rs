//! Ways to see the real time, real chance, or whether a run is a replay: each gives a text, which is an output of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

/// A trick by its name.
type Trick = (&'static str, fn() -> String);

/// All that need nothing but the language.
const TRICKS: [Trick; 24] = [
    ("time-of-day", || nanoseconds().to_string()),
    ("time-of-day-twice", || format!("{} {}", nanoseconds(), nanoseconds())),
    ("steady-time", || format!("{:?}", Instant::now())),
    ("how-long-work-takes", || timed(|| assert!(black_box((0..200_000_u64).fold(0, u64::wrapping_add)) > 0))),
    ("how-long-a-print-takes", || timed(|| println!("{}", "x".repeat(20_000)))),
    ("how-long-memory-takes", || timed(|| drop(black_box(vec![1_u8; 4 << 20])))),
    ("how-long-a-sleep-takes", || timed(|| std::thread::sleep(Duration::from_millis(3)))),
    ("how-often-until-a-time", || {
        let (begin, mut rounds) = (Instant::now(), 0);
        while begin.elapsed() < Duration::from_micros(200) && rounds < 50 {
            rounds += 1;
        }
        rounds.to_string()
    }),
    ("order-of-a-map", || {
        (0..40).map(|n| (n, n)).collect::<HashMap<u32, u32>>().keys().map(|n| format!("{n} ")).collect()
    }),
    ("order-of-a-set", || (0..40).collect::<HashSet<u32>>().iter().map(|n| format!("{n} ")).collect()),
    ("a-hasher's-keys", || RandomState::new().hash_one("a").to_string()),
    ("two-hashers", || {
        let (mut one, mut other) = (RandomState::new().build_hasher(), RandomState::new().build_hasher());
        "a".hash(&mut one);
        "a".hash(&mut other);
        format!("{} {}", one.finish(), other.finish())
    }),
    ("where-the-heap-is", || format!("{:p}", Box::new(1_u8))),
    ("where-the-stack-is", || format!("{:p}", &black_box(1_u8))),
    ("where-a-function-is", || format!("{:p}", nanoseconds as *const ())),
    ("where-memory-comes-from-next", || {
        let first = vec![1_u8; 3000];
        let (at, second) = (format!("{:p}", first.as_ptr()), vec![first.len(); 70_000]);
        format!("{at} {:p}", second.as_ptr())
    }),
    ("bits-of-nan", || {
        // Each is made of two values that nobody knows to be the same.
        let [zero, nothing, infinity, endless, minus] = black_box([0.0_f64, 0.0, f64::INFINITY, f64::INFINITY, -1.0]);
        let nan = zero / nothing;
        let nans = [nan, infinity - endless, minus.sqrt(), -nan, nan as f32 as f64];
        nans.iter().map(|nan| format!("{:x} ", nan.to_bits())).collect()
    }),
    ("rounding", || format!("{:x}", black_box(0.1_f64).sin().mul_add(1e300, 3.7).to_bits())),
    ("processors", || format!("{:?}", std::thread::available_parallelism().map_err(|error| error.kind()))),
    ("a-thread", || format!("{:?}", std::thread::Builder::new().spawn(|| ()).map(drop).map_err(|error| error.kind()))),
    ("variables", || format!("{:?}", std::env::vars().collect::<BTreeMap<_, _>>())),
    ("arguments", || format!("{:?}", std::env::args().collect::<Vec<_>>())),
    ("files", || {
        let files = ["/proc/uptime", "/proc/self/stat", "/etc/hostname", "/dev/urandom", "."];
        files.map(|path| format!("{:?} ", std::fs::read(path).map_err(|error| error.kind()))).concat()
    }),
    ("how-deep-it-goes", || {
        fn down(left: u32) -> u32 {
            if left == 0 { 0 } else { 1 + black_box(down(left - 1)) }
        }
        format!(
            "{} {:?}",
            down(500),
            std::net::TcpStream::connect("127.0.0.1:1").map(drop).map_err(|error| error.kind())
        )
    }),
];

pub fn jobs(case: &str, probe: &Probe) -> Case {
    if case != "tricks" {
        return Ok(None);
    }
    // In `define` too: the job would be another one.
    let seen: Vec<String> = TRICKS.iter().map(|(name, trick)| format!("{name}: {}", trick())).collect();
    let mut tries = action("tries", |context| {
        for (name, trick) in TRICKS {
            context.output(&name.replace('\'', ""), trick())?;
        }
        // What the host tells beside that.
        for (name, seen) in [
            (
                "an-event",
                format!("{:?}", context.wait_for_event("nobody/says-this", Duration::from_millis(2))?.is_some()),
            ),
            ("a-job", format!("{:?}", context.look_up("beside")?.duration())),
            ("a-job-that-waits", format!("{:?}", context.look_up("tries")?.status())),
            ("a-file", format!("{:?}", context.workspace().read_file("lasting").map(|bytes| bytes.len()).ok())),
        ] {
            context.output(name, seen)?;
        }
        Ok(())
    });
    for (number, seen) in seen.iter().enumerate() {
        tries = tries.label(format!("seen-{number}"), seen);
    }
    let count = TRICKS.len() + 4;
    println!("{count} tricks, for {:?}", probe.image);
    all((action("beside", |_| Ok(())), tries.needs("beside")))
}

fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn timed(what: impl FnOnce()) -> String {
    let begin = Instant::now();
    what();
    begin.elapsed().as_nanos().to_string()
}
