use futures::FutureExt;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn memory(of_host: usize, of_build: usize, own: usize) -> HostMemory {
    let (host_memory_bytes, build_memory_bytes, own_memory_bytes) = (of_host, of_build, own);
    HostMemory::new(&Limits { host_memory_bytes, build_memory_bytes, own_memory_bytes, ..Limits::default() })
}

fn most(build: &BuildMemory) -> usize {
    let mut share = build.begin(0, HOUR).now_or_never().expect("at once").expect("nothing is always there");
    (0..).take_while(|_| share.take(1).is_ok()).count()
}

/// Takes all that `build` gets.
fn fill(build: &BuildMemory) -> (Share, usize) {
    let most = most(build);
    let mut share = build.begin(0, HOUR).now_or_never().expect("at once").expect("nothing is always there");
    share.take(most).expect("so much was there");
    (share, most)
}

#[tokio::test]
async fn greedy_builds_never_take_all_and_each_has_a_part_of_its_own() {
    let host = memory(1000, 900, 10);
    let greedy: Vec<_> = (0..20).map(|_| host.build()).collect();
    let taken: Vec<(Share, usize)> = greedy.iter().map(fill).collect();
    let of_each: Vec<usize> = taken.iter().map(|(_, most)| *most).collect();
    assert_eq!(of_each[..4], [510, 260, 135, 72], "each takes half of what is left, beside its own");
    assert!(of_each.iter().all(|most| *most >= 10), "{of_each:?}");
    assert!(host.taken() <= 1000 + 20 * 10, "{}", host.taken());
    drop(taken);
    assert_eq!((host.taken(), host.ledger().shared), (0, 0));
    assert_eq!(most(&greedy[19]), 510);
}

#[tokio::test]
async fn the_end_of_a_builds_memory_is_the_builds_even_if_the_host_has_more() {
    let host = memory(1 << 40, 100, 10);
    let (one, two) = (host.build(), host.build());
    let (mut share, most) = fill(&one);
    assert_eq!((most, share.take(1)), (100, Err(Short::OfBuild { limit: 100, taken: 100 })));
    assert_eq!(fill(&two).1, 100);
    share.give_back(30);
    share.take(30).expect("given back before");
}

#[tokio::test]
async fn an_instance_waits_for_memory_that_others_will_give_back_and_not_for_those_who_wait() {
    let build = memory(1 << 40, 100, 10).build();
    let mut first = build.begin(60, HOUR).now_or_never().expect("at once").expect("free");
    let mut second = Box::pin(build.begin(60, HOUR));
    assert!(second.as_mut().now_or_never().is_none(), "the first one runs, and will end");
    first.waits(false);
    let short = second.as_mut().now_or_never().expect("told").expect_err("the first one may wait for this one");
    assert_eq!(short, Short::OfBuild { limit: 100, taken: 60 });
    first.runs();
    let mut third = Box::pin(build.begin(60, HOUR));
    assert!(third.as_mut().now_or_never().is_none());
    drop(first);
    third.now_or_never().expect("told").expect("free again");
}

#[tokio::test]
async fn one_of_those_that_wait_hears_that_somebody_lacks_what_it_has() {
    let build = memory(1 << 40, 100, 10).build();
    let waits = |bytes: usize| {
        let mut share = build.begin(bytes, HOUR).now_or_never().expect("at once").expect("free");
        share.waits(true);
        let wanted = share.wanted();
        (share, Box::pin(wanted))
    };
    let ((first, mut first_is_wanted), (second, mut second_is_wanted)) = (waits(40), waits(40));
    assert!(first_is_wanted.as_mut().now_or_never().is_none() && second_is_wanted.as_mut().now_or_never().is_none());
    let mut begins = Box::pin(build.begin(50, HOUR));
    assert!(begins.as_mut().now_or_never().is_none(), "the others have it still");
    assert!(first_is_wanted.as_mut().now_or_never().is_some(), "the first one is asked");
    assert!(second_is_wanted.as_mut().now_or_never().is_none(), "one is enough");
    drop(first);
    let mut third = begins.now_or_never().expect("told").expect("free now");
    // One that has begun and wants more asks those who wait as well.
    let mut more = Box::pin(third.take_also_from_those_who_wait(70));
    assert!(more.as_mut().now_or_never().is_none());
    assert!(second_is_wanted.as_mut().now_or_never().is_some());
    drop(second);
    more.now_or_never().expect("told").expect("free now");
}

#[tokio::test]
async fn what_an_instance_is_given_to_begin_with_is_used_first_and_the_rest_is_free() {
    let host = memory(1 << 40, 100, 10);
    let mut share = host.build().begin(60, HOUR).now_or_never().expect("at once").expect("free");
    share.take(20).expect("kept for it");
    assert_eq!(host.taken(), 60);
    share.has_begun();
    assert_eq!(host.taken(), 20);
    drop(share);
    assert_eq!(host.taken(), 0);
}
