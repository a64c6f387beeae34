// A pipeline from tests to a published release, for a Rust program: what `sample-scripts/release` says in Rust.
//
// Tests run on every Rust version that is supported, with a cache for each lock file. On the main branch and on version tags, the program
// is packaged, the notes are written, and, once a person has approved it, both are published.
//
// Parameters: `image` (without a version), `rust` (one version instead of all), `dry-run`. Secret: `PUBLISH_TOKEN`.
import {
  HostError, action, container, matrix, output, param, secret, workspace,
  type Build, type Cache, type Context, type Jobs, type RefinedOptions,
} from "monkeyci";

/** The Rust versions that the program supports; the last one builds the release. */
const RUST = ["1.93", "1.94", "1.95"] as const;

export default function (build: Build): Jobs {
  const image = param("image", { default: "rust", description: "the image to build in, without its version" });
  const rust = param("rust", { choices: RUST, description: "the one Rust version to test with" });
  const dryRun = param("dry-run", { kind: "boolean", default: false, description: "publish nothing" });

  const released = build.onMainBranch || build.tagMatches("v*");
  const crates = cargo();
  const toolchain = (version: string) => `${image}:${version}`;
  const latest = toolchain(RUST[RUST.length - 1]!);

  const tests = matrix(
    { rust: rust ? [rust] : RUST, features: ["default", "all"] },
    ({ rust, features }, id) => {
      const all = features === "all" ? "--all-features" : "";
      return container(id("test"), {
        image: toolchain(rust),
        shell: `cargo test --locked ${all} -- -Z unstable-options --format junit >report.xml`,
        env: { RUSTC_BOOTSTRAP: 1 },
        testReports: "report.xml",
        caches: { crates },
        failFast: "tests",
        retry: { count: 2, on: "error" },
        timeout: "20m",
      });
    },
    { exclude: ({ rust, features }) => features === "all" && rust === RUST[0] },
  );

  const whenReleased = [released, "only the main branch and version tags are released"] as const;
  const packaged = container("package", {
    image: latest,
    shell: [
      "cargo build --release --locked",
      "mkdir dist && cp target/release/app LICENSE dist/",
      'echo "version=$(dist/app --version)" >>"$MONKEYCI_OUTPUTS"',
    ],
    caches: { crates },
    saveArtifacts: { dist: { path: "dist", files: ["app", "LICENSE"] } },
    needs: tests,
    onlyIf: whenReleased,
  });

  const notes = action("notes", { createsArtifacts: "notes", needs: packaged, onlyIf: whenReleased }, writeNotes);

  const published = released && !dryRun;
  const publish = container("publish", {
    image: latest,
    shell: "sh tools/publish.sh dist notes",
    restoreArtifacts: { dist: ".", notes: "." },
    env: { VERSION: output(packaged, "version"), PUBLISH_TOKEN: published ? secret("PUBLISH_TOKEN") : undefined },
    approval: "publish this release for everybody?",
    refine: refinePublish,
    onlyIf: [published, "only the main branch and version tags are published, and not in a dry run"],
  });

  const summary = action("summary", { needs: [...tests, publish], runWhen: "always" }, summarise);
  return [tests, packaged, notes, publish, summary];
}

/** What cargo downloads and builds: one for each lock file, to begin with what was there before. */
function cargo(): Cache {
  return { path: "target", key: `crates-${workspace.hashFiles("Cargo.lock")}`, fallback: "crates-", save: "miss" };
}

/** Writes what is new, from the top of the change log, into an artifact. */
function writeNotes(context: Context): void {
  const version = context.lookUp("package").output("version");
  if (version === undefined) throw new Error("package told no version");
  const lines = linesOf(context.workspace.readText("CHANGELOG.md"));
  const start = lines.findIndex((line) => line.startsWith("## ")) + 1;
  const end = lines.findIndex((line, at) => at >= start && line.startsWith("## "));
  const news = start ? lines.slice(start, end < 0 ? undefined : end) : [];
  if (news.every((line) => !line.trim())) context.warn("the change log says nothing of this release");
  context.writeFile("notes/NOTES.md", `# ${version}\n${news.join("\n")}\n`);
  context.artifacts.save("notes", "notes");
}

/** A version that is published already is not published again; one before 1.0 goes to the testers only. */
function refinePublish(_: unknown, context: Context): RefinedOptions {
  const version = context.lookUp("package").output("version") ?? "";
  const published = linesOf(attempt(() => context.workspace.readText("published-versions")) ?? "");
  return {
    skip: published.includes(version) ? `${version} is published already` : undefined,
    env: { CHANNEL: version.startsWith("0.") ? "testing" : "stable" },
  };
}

/** Says in one line what came of the build. */
function summarise(context: Context): void {
  const looked = (job: string) => attempt(() => context.lookUp(job));
  const jobs = RUST.flatMap((rust) => [`test-${rust}-default`, `test-${rust}-all`]);
  const tests = jobs.map((job) => looked(job)?.tests ?? { total: 0, failed: 0 });
  const sum = (what: "total" | "failed") => tests.reduce((all, one) => all + one[what], 0);
  const published = looked("publish")?.succeeded;
  const version = looked("package")?.output("version");
  const what =
    version === undefined ? "nothing is packaged"
    : published ? `${version} is published`
    : `${version} is packaged, not published`;
  context.report(`${sum("total")} tests, ${sum("failed")} failed; ${what}`);
}

const linesOf = (text: string): string[] => text.replace(/\n$/, "").split("\n");

/** What this comes to; `undefined` where the host refuses it. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
