//! How many builds of a script with 20 jobs, 4 of them actions, one core simulates in a second: with the host as it is, `define` and each action
//! in an instance of their own; and with the core alone, to which a seed says how jobs end, and when. The bars are 3,000 and 20,000.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use monkeyci_build::{BuildState, BuildStatus, Effect, Ending, Event, EventBody, Input};
use monkeyci_host::simulation::{Run, Simulation};
use monkeyci_host::{BuildRequest, SourceRequest};
use monkeyci_tests::place;

/// For how long each is measured.
const TIME: Duration = Duration::from_secs(10);

fn main() {
    let code = tempfile::tempdir().expect("a directory");
    let script = std::fs::read(place::script("probe_script")).expect("a script");
    let request = BuildRequest::new(script, SourceRequest::Dir(code.path().to_owned()));
    let request = request.param("case", "sim-twenty").param("image", "some:image").param("scratch-image", "scratch");
    let simulation = Simulation::new(request).expect("a simulation");
    // What all runs share is made.
    let calm = simulation.run_with(0, &[]).expect("a run");
    assert_eq!((calm.status, calm.lives), (Some(BuildStatus::Success), 1), "{}", calm.trace());
    assert!(simulation.run(0).expect("a run").broken.is_empty());
    println!("builds of 20 jobs in a second of the processor's time, one after the other");
    measured("whole, nothing goes wrong (bar 3,000)", |seed| {
        sound(&simulation.run_with(seed, &[]).expect("a run"));
    });
    measured("whole, as seeds have it", |seed| sound(&simulation.run(seed).expect("a run")));
    measured("the core alone (bar 20,000)", |seed| {
        std::hint::black_box(core(&calm.events, seed));
    });
}

fn measured(what: &str, build: impl Fn(u64)) {
    let (start, before, mut builds) = (Instant::now(), processor(), 0);
    while start.elapsed() < TIME {
        build(builds);
        builds += 1;
    }
    println!("  {what:<40} {:>8.0}", builds as f64 / (processor() - before).as_secs_f64());
}

/// The processor's time that this process has had, whoever else had some meanwhile.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a process");
    // The program's name, in brackets, may have anything in it. See proc(5): the 14th field and the 15th, in 1/100 s.
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    Duration::from_millis(
        10 * fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum::<u64>(),
    )
}

fn sound(run: &Run) {
    assert!(run.broken.is_empty(), "{:?}\n{}", run.broken, run.trace());
}

/// What a build has done so far, and what of it is to come: at which moment, and in which order among those of one.
struct Core {
    state: BuildState,
    seq: u64,
    now_ms: u64,
    open: BinaryHeap<Reverse<(u64, u64, String)>>,
    chance: u64,
    ended: Option<BuildStatus>,
}

/// A build whose jobs end as the seed has it, from the moment on at which its jobs are declared as in this one.
fn core(like: &[Event], seed: u64) -> BuildStatus {
    let most = NonZeroUsize::new(8).expect("not 0");
    let open = BinaryHeap::new();
    let mut core = Core { state: BuildState::new(most), seq: 0, now_ms: 0, open, chance: seed | 1 << 32, ended: None };
    let jobs = like.iter().position(|event| matches!(event.body, EventBody::ScriptDefined { .. })).expect("jobs");
    for event in &like[..=jobs] {
        core.happens(event.body.clone());
    }
    while core.ended.is_none() {
        let Reverse((at_ms, _, job)) = core.open.pop().expect("something is to come");
        core.now_ms = core.now_ms.max(at_ms);
        let fails = core.drawn(16) == 0;
        let ending = if fails { Ending::Exited { code: 1, line: None } } else { Ending::Succeeded };
        let body = core.state.conclude(&job, ending);
        core.happens(body);
    }
    core.ended.expect("an end")
}

impl Core {
    fn drawn(&mut self, below: u64) -> u64 {
        // xorshift64*
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    fn happens(&mut self, body: EventBody) {
        let mut bodies = VecDeque::from([body]);
        while let Some(body) = bodies.pop_front() {
            if let EventBody::BuildEnded { status, .. } = &body {
                self.ended = Some(*status);
            }
            self.seq += 1;
            let event = Event { seq: self.seq, time_ms: self.now_ms, body };
            for effect in self.state.step(Input::Event(&event)) {
                match effect {
                    Effect::Record(body) => bodies.push_back(body),
                    Effect::Start { job, attempt } => {
                        let at_ms = self.now_ms + 1 + self.drawn(600_000);
                        self.open.push(Reverse((at_ms, self.seq, job.clone())));
                        bodies.push_back(EventBody::JobStarted { job: job.clone(), attempt });
                        bodies.push_back(EventBody::JobRunning { job, attempt });
                    }
                    _ => {}
                }
            }
        }
    }
}
