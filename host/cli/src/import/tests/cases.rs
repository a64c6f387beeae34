//! Files that are easily taken for something that they do not say.

use super::*;

/// The script that comes of a file, and what is listed.
fn made(system: System, text: &str) -> (String, String) {
    let found = read(system, text);
    let list = found.missing.iter().map(|one| format!("{} {}: {}\n", one.place.line, one.place.path, one.why));
    let list = list.collect();
    (writing::script(&found, system, "file.yml"), list)
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

fn has_not(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "{part:?} stands in:\n{text}");
    }
}

fn github(on: &str, job: &str) -> (String, String) {
    made(System::GitHub, &format!("on: {on}\njobs:\n  test:\n    runs-on: ubuntu-latest\n{job}"))
}

#[test]
fn the_id_of_a_job_without_a_matrix_is_its_text_and_of_one_with_a_matrix_the_row() {
    let (script, _) = github("push", "    env:\n      NAME: x-${{ github.job }}\n    steps: [{run: make}]\n");
    has(&script, &[r#".env("NAME", "x-test")"#]);
    let (script, _) = made(System::Woodpecker, "steps:\n  a:\n    image: x\n    commands: [echo $CI_STEP_NAME]\n");
    has(&script, &[r#".env("CI_STEP_NAME", "a")"#]);
    let job = "a:\n  image: x\n  script: echo $CI_JOB_NAME\n";
    has(&made(System::GitLab, job).0, &[r#".env("CI_JOB_NAME", "a")"#]);
    has(&made(System::GitLab, &format!("{job}  parallel: 2\n")).0, &[r#".env("CI_JOB_NAME", id)"#]);
}

#[test]
fn an_output_of_a_matrix_is_listed_where_it_is_declared_and_where_it_is_used() {
    let of = |strategy: &str| {
        let test = format!(
            "    runs-on: ubuntu-latest\n{strategy}    outputs: {{v: '${{{{ steps.a.outputs.v }}}}'}}\n    steps: [{{id: a, run: make}}]\n"
        );
        let next =
            "    needs: test\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ needs.test.outputs.v }}'}]\n";
        made(System::GitHub, &format!("on: push\njobs:\n  test:\n{test}  next:\n{next}"))
    };
    has(&of("").0, &[r#".output_env("TEST_V", &test, "v")"#]);
    let (script, list) = of("    strategy: {matrix: {os: [a, b]}}\n");
    has_not(&script, &["output_env(\""]);
    has(
        &list,
        &["jobs.test.outputs.v: each job of a matrix has", "jobs.next.steps[0].run: `${{ needs.test.outputs.v }}`"],
    );
}

#[test]
fn a_service_is_a_map_or_its_image_alone_and_one_without_an_image_is_listed() {
    let services = "    services: {one: 'redis:7', two: {image: 'postgres:17'}, three: {env: {A: b}}}\n";
    let (script, list) = github("push", &format!("{services}    steps: [{{run: make}}]\n"));
    has(&script, &[r#"service("one", "redis:7")"#, r#"service("two", "postgres:17")"#]);
    has_not(&script, &[r#"service("three""#]);
    has(&list, &["services.three: the service is left out: it names no image"]);
    has_not(&list, &["services.one", "services.two"]);
}

#[test]
fn a_filter_of_the_branch_that_a_pull_request_goes_to_asks_for_no_branch_that_is_built() {
    let steps = "    steps: [{run: make}]\n";
    let (script, list) = github("{pull_request: {branches: [main], branches-ignore: [old], paths: [src/*]}}", steps);
    has(&script, &[r#"let wanted = build.triggered_by("webhook/pull_request") && build.touched("src/*");"#]);
    has(&list, &["on.pull_request.branches: a script does not know", "on.pull_request.branches-ignore: a script"]);
    let steps = "steps:\n  a:\n    image: x\n    commands: [make]\n";
    let of = |when: &str| made(System::Woodpecker, &format!("when: {when}\n{steps}"));
    let (script, list) = of("{event: pull_request, branch: main}");
    let pulls = r#"build.triggered_by("webhook/pull_request")"#;
    has(&script, &[&format!(r#"let wanted = {pulls} && ({pulls} || build.branch_matches("main"));"#)]);
    has(&list, &["when.branch: a script does not know which branch a pull request goes to"]);
    has(&of("{branch: main}").0, &[&format!(r#"let wanted = {pulls} || build.branch_matches("main");"#)]);
    let (script, list) = of("{event: tag, branch: main}");
    has(&script, &[r#"let wanted = build.tag().is_some() && build.branch_matches("main");"#]);
    has_not(&list, &["pull request"]);
}

#[test]
fn what_a_step_sets_the_other_steps_do_not_see_or_it_is_listed() {
    let steps = "    steps:
      - run: npm ci
      - run: npm test
        env: {NODE_ENV: \"it's\", TOKEN: \"${{ secrets.NPM }}\", a-b: c}
      - run: npm publish
        env: {NODE_ENV: other}
";
    let (script, list) = github("push", steps);
    has(&script, &["\"npm ci\"", "export NODE_ENV='it'\\''s'\nnpm test", "export NODE_ENV='other'\nnpm publish"]);
    has(&script, &[r#".secret_env("TOKEN", &npm)"#, r#".env("a-b", "c")"#]);
    has_not(&script, &[r#".env("NODE_ENV""#]);
    has(&list, &["steps[1].env.TOKEN: it is a variable of the job, and all of its steps see it"]);
    has(&list, &["steps[1].env.a-b: it is a variable of the job"]);
    let (_, list) =
        github("push", "    steps: [{run: make}, {run: 'x ${{ secrets.A }} ${{ vars.B }} ${{ inputs.c }}'}]\n");
    has(&list, &["steps[1].run: `${{ secrets.A }}` became `${A}`, a variable of the job, and all of its steps see it"]);
    has(&list, &["`${{ vars.B }}` became `${B}`"]);
    has_not(&list, &["inputs.c"]);
    let alone = "    steps:\n      - run: npm test ${{ secrets.A }}\n        env: {TOKEN: \"${{ secrets.NPM }}\"}\n";
    has_not(&github("push", alone).1, &["all of its steps see it"]);
}

#[test]
fn variables_that_name_each_other_often_take_no_memory_without_end() {
    let steps = "    steps: [{run: make}]\n    env:\n      V0: xxxxxxxxxx\n";
    let more = (1..8).map(|at| format!("      V{at}: {}\n", format!("${{{{ env.V{} }}}}", at - 1).repeat(10)));
    let (script, list) = github("push", &format!("{steps}{}", more.collect::<String>()));
    assert!(script.len() < 1 << 20, "{}", script.len());
    has(
        &list,
        &["jobs.test.env.V4: `${{ env.V3 }}` stays as it is: with what it is, the text would be longer than 64 KiB"],
    );
    let more = (1..8).map(|at| format!("  V{at}: {}\n", format!("$V{}", at - 1).repeat(10)));
    let more: String = more.collect();
    let (script, list) =
        made(System::GitLab, &format!("variables:\n  V0: xxxxxxxxxx\n{more}a:\n  image: x\n  script: make\n"));
    assert!(script.len() < 1 << 20, "{}", script.len());
    has(&list, &["variables.V4: `$V3` stays as it is: with what it is, the text would be longer than 64 KiB"]);
}

#[test]
fn jobs_of_gitlab_are_merged_with_what_they_extend_key_by_key_and_the_later_counts() {
    let file = "
.top: {image: top, variables: {A: top, B: top, C: top}}
.a: {extends: .top, image: a, variables: {A: a, B: a}, artifacts: {paths: [dist/]}}
.b: {extends: .top, variables: {A: b}}
test:
  extends: [.a, .b]
  script: make
  variables: {D: own}
  artifacts: {reports: {junit: r.xml}}
";
    let (script, list) = made(System::GitLab, file);
    has(&script, &[r#"container("test", "top")"#, r#".env("A", "b")"#, r#".env("B", "top")"#, r#".env("D", "own")"#]);
    has(&script, &[r#".save(artifact("test", "dist"))"#, r#".test_report("r.xml")"#]);
    assert_eq!(list, "");
    let (_, list) = made(System::GitLab, "a: {extends: b, image: x, script: make}\nb: {extends: a, image: x}\n");
    has(&list, &["what `b` says is left out here: it extends itself"]);
    let chain: String = (0..12).map(|at| format!(".j{at}: {{extends: .j{}}}\n", at + 1)).collect();
    let (_, list) = made(System::GitLab, &format!("{chain}.j12: {{image: x}}\na: {{extends: .j0, script: make}}\n"));
    has(&list, &["what `.j10` says is left out here: more than 10 extend each other"]);
}

#[test]
fn what_a_job_replaces_is_no_part_of_the_list_but_what_another_one_takes_of_it_is() {
    let base = ".base:\n  image: x\n  script: make\n  cache: {paths: [a], zz-unknown: 1}\n";
    let replacing = "a:\n  extends: .base\n  cache: []\n";
    assert_eq!(made(System::GitLab, &format!("{base}{replacing}")).1, "");
    let (_, list) = made(System::GitLab, &format!("{base}{replacing}b:\n  extends: .base\n"));
    has(&list, &[".base.cache.zz-unknown"]);
}

#[test]
fn what_jobs_of_gitlab_repeat_of_a_file_has_an_end_and_what_is_left_out_is_listed() {
    let keys: String = (0..8000).map(|at| format!("  k{at}: 1\n")).collect();
    let jobs: String = (0..60).map(|at| format!("j{at}: {{extends: [.a, .b], script: make}}\n")).collect();
    let (script, list) = made(System::GitLab, &format!(".a:\n{keys}.b:\n  image: x\n{keys}{jobs}"));
    has(&script, &[r#"container("j0", "x")"#, r#"container("j59", "debian:12")"#]);
    has(
        &list,
        &["j59.extends[0]: what `.a` says is left out here: references, and what jobs extend, repeat more than"],
    );
    let lines: String = (0..2000).map(|at| format!("    - echo {at}\n")).collect();
    let all = "!reference [.a, script], ".repeat(1000);
    let (script, list) =
        made(System::GitLab, &format!(".a:\n  script:\n{lines}b:\n  image: x\n  script: [{all} make]\n"));
    assert!(script.len() < 100 << 20, "{}", script.len());
    has(&list, &["b.script[999]: what it names is left out: references, and what jobs extend, repeat more than"]);
}

#[test]
fn only_wants_all_that_it_says_and_except_any() {
    let job = |only: &str| made(System::GitLab, &format!("a:\n  image: x\n  script: make\n  {only}\n")).0;
    let branch_and_paths = "{refs: [main], changes: [src/*]}";
    let only = job(&format!("only: {branch_and_paths}"));
    has(&only, &[r#".only_if((build.branch_matches("main")"#, r#"&& build.touched("src/*"), "#]);
    let except = job(&format!("except: {branch_and_paths}"));
    has(&except, &[r#".only_if(!(build.branch_matches("main")"#, r#"|| build.touched("src/*")), "#]);
}

#[test]
fn what_nobody_starts_here_never_runs_for_all_builds() {
    let steps = "    steps: [{run: make}]\n";
    for on in ["release", "[release]", "{release: {types: [created]}}", "{release: null}"] {
        let (script, list) = github(on, steps);
        has(&script, &[r#"let wanted = build.triggered_by("api");"#]);
        has(&list, &["builds of this host are not started by `release`"]);
    }
    let job = |only: &str| made(System::GitLab, &format!("a:\n  image: x\n  script: make\n  {only}\n"));
    for only in ["only: [chat]", "only: {variables: [$CI_COMMIT_MESSAGE =~ /x/]}"] {
        let (script, list) = job(only);
        has(&script, &[r#".only_if(false, "`only` of the job says so")"#]);
        has(&list, &["never holds"]);
    }
    has_not(&job("except: [chat]").0, &["only_if"]);
    has_not(&job("except: {kubernetes: active}").0, &["only_if"]);
    // A list without words is none.
    has_not(&job("only: []").0, &["only_if"]);
    has_not(&job("except: []").0, &["only_if"]);
}

#[test]
fn what_comes_into_lines_of_a_shell_takes_no_other_variables_place() {
    let job = "    env: {KEY: mine}
    steps:
      - run: echo ${{ inputs.path }} ${{ vars.HOME }} ${{ secrets.KEY }} ${{ inputs.a-b }} ${{ inputs.a_b }}
      - run: echo ${{ secrets.LATE }} ${{ secrets.KEY }}
        env: {LATE: own}
";
    let (script, _) = github("push", job);
    has(&script, &["echo ${INPUT_PATH} ${HOME_2} ${KEY_2} ${INPUT_A_B} ${INPUT_A_B_2}"]);
    has(&script, &["export LATE='own'\necho ${LATE_2} ${KEY_2}"]);
    has(&script, &[r#".env("INPUT_PATH", build.param_or("path", "")?)"#, r#".env("HOME_2", build.param_or("HOME""#]);
    has(&script, &[r#".env("KEY", "mine")"#, r#".secret_env("KEY_2", &key)"#, r#".secret_env("LATE_2", &late)"#]);
    has(&script, &[r#".env("INPUT_A_B_2", build.param_or("a_b", "")?)"#]);
    has_not(&script, &[r#"env("PATH""#, r#"env("HOME","#, r#"env("LATE""#]);
}

#[test]
fn a_condition_knows_the_default_of_an_input() {
    let on = "{workflow_dispatch: {inputs: {deploy: {default: yes}}}}";
    let step = "    steps: [{run: a}, {run: b, if: inputs.deploy == 'no'}]\n";
    for condition in ["inputs.deploy", "github.event.inputs.deploy == 'no'"] {
        let (script, _) = github(on, &format!("    if: {condition}\n{step}"));
        has_not(&script, &[r#"build.param_or("deploy", "")"#]);
        has(&script, &[r#"build.param_or("deploy", "yes")? == "no""#]);
    }
}

#[test]
fn the_words_of_a_service_are_those_of_the_file_also_where_one_depends_on_a_row() {
    let file = "
a:
  image: x
  script: make
  parallel: {matrix: [{DB: [one, two]}]}
  services:
    - {name: y, command: [\"$DB\", \"a.to_owned(), b\"]}
    - {name: z, command: [\"a.to_owned()\"]}
";
    let (script, _) = made(System::GitLab, file);
    has(&script, &[r#".argv([String::from(db), String::from("a.to_owned(), b")])"#, r#".argv(["a.to_owned()"])"#]);
}

#[test]
fn what_names_no_release_of_rust_becomes_no_image_that_nobody_has() {
    for (uses, image, listed) in [
        ("dtolnay/rust-toolchain@4f366e621dc8fa63f557ca04b8f4361824a35a45", "rust:1", true),
        ("dtolnay/rust-toolchain@be73d7920c329f220ce78e0234b8f96b7ae60248", "rust:1", true),
        ("dtolnay/rust-toolchain@nightly-2026-01-01", "rustlang/rust:nightly", true),
        ("dtolnay/rust-toolchain@1.75", "rust:1.75", false),
        ("actions-rust-lang/setup-rust-toolchain@v1.9.0", "rust:1", false),
    ] {
        let (script, list) = github("push", &format!("    steps: [{{uses: {uses}}}, {{run: make}}]\n"));
        has(&script, &[&format!(r#"container("test", "{image}")"#)]);
        assert_eq!(list.contains("is no release of Rust that has an image"), listed, "{uses}: {list}");
    }
}

#[test]
fn what_is_saved_of_each_row_may_be_several_paths_and_have_wildcards() {
    let job = "    strategy: {matrix: {arch: [arm, x86]}}
    steps:
      - run: make
      - uses: actions/upload-artifact@v4
        with:
          path: |
            out/${{ matrix.arch }}/*.deb
            /outside/${{ matrix.arch }}
            ./log-${{ matrix.arch }}.txt
";
    let (script, list) = github("push", job);
    let files = r#".files([format!("out/{arch}/*.deb"), format!("log-{arch}.txt")])"#;
    has(&script, &[&format!(r#"artifact("artifact", "."){files}"#)]);
    has(&list, &["`/outside/{arch}` is not saved"]);
}

#[test]
fn a_job_that_is_started_by_hand_and_may_fail_holds_no_later_stage_up() {
    let of = |first: &str| {
        let later = "later:\n  stage: deploy\n  image: x\n  script: make\n";
        made(System::GitLab, &format!("first:\n  stage: build\n  image: x\n  script: make\n{first}{later}"))
    };
    for free in [
        "  rules: [{when: manual, allow_failure: true}]\n",
        "  rules: [{if: $CI_COMMIT_TAG, when: never}, {when: manual}]\n  allow_failure: true\n",
        "  when: manual\n",
    ] {
        has_not(&of(free).0, &[".needs(&first)"]);
    }
    for waits in ["  rules: [{when: manual}]\n", "  when: manual\n  allow_failure: false\n"] {
        has(&of(waits).0, &[".needs(&first)"]);
    }
    let (script, list) = of("  rules: [{if: $CI_COMMIT_TAG, when: manual, allow_failure: true}, {when: on_success}]\n");
    has(&script, &[".needs(&first)"]);
    has(&list, &["first.rules: later stages wait for this job wherever it is there"]);
}

#[test]
fn a_reference_to_itself_is_listed_and_the_lines_round_it_stay() {
    let (script, list) =
        made(System::GitLab, "a:\n  image: x\n  script: [echo one, !reference [a, script], echo two]\n");
    has(&script, &["echo one", "echo two"]);
    has(&list, &["a.script[1]: what it names is left out: references name each other more than 10 deep"]);
}

#[test]
fn rows_of_a_long_name_have_ids_of_their_own_and_those_that_are_too_many_are_listed() {
    let name = "x".repeat(64);
    let file = format!("{name}:\n  image: x\n  script: make\n  parallel: 3\n");
    let found = read(System::GitLab, &file);
    let matrix = found.jobs[0].matrix.as_ref().expect("rows");
    let ids: BTreeSet<&String> = matrix.rows.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let many: String = (0..300).map(|at| format!("    - {{A: a{at}}}\n")).collect();
    let (_, list) =
        made(System::Woodpecker, &format!("steps: {{a: {{image: x, commands: [make]}}}}\nmatrix:\n  include:\n{many}"));
    has(&list, &["matrix: of 300 rows, the first 200 are here: the others are left out"]);
}

#[test]
fn a_file_with_more_jobs_than_a_pipeline_has_is_refused() {
    for (system, top, job) in [
        (System::GitHub, "on: push\njobs:\n", "  jN: {runs-on: x, steps: [{run: make}]}\n"),
        (System::GitLab, "", "jN: {script: make}\n"),
        (System::Woodpecker, "steps:\n", "  jN: {image: x, commands: [make]}\n"),
    ] {
        let file = |jobs: usize| {
            let jobs = (0..jobs).map(|number| job.replace('N', &number.to_string())).collect::<String>();
            pipeline(format!("{top}{jobs}").as_bytes(), system)
        };
        assert_eq!(file(super::super::MAX_JOBS).expect("a pipeline").jobs.len(), super::super::MAX_JOBS);
        let refused = file(super::super::MAX_JOBS + 1).expect_err("refused").to_string();
        assert!(refused.contains("has 501 jobs"), "{refused}");
    }
}
