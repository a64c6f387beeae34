// The module `monkeyci`: what build scripts for monkeyci-host import. A script is `.monkeyci/build.ts` (or `.js`, `.mjs`), whose default
// export are its jobs, or a function that returns them:
//
//     import { action, container } from "monkeyci";
//
//     const test = container("test", { image: "debian:12", shell: ["make test"] });
//     const report = action("report", { needs: test }, (context) => context.report("done"));
//     export default [test, report];

declare module "monkeyci" {
  // ---- jobs ---------------------------------------------------------------------------------------------------------

  /** Jobs, one or many; what is left out by a condition may be `undefined`, `null` or `false`. */
  export type Jobs = Job | undefined | null | false | Iterable<Jobs>;

  /** What a script exports as its default. */
  export type Script = Jobs | ((build: Build) => Jobs | Promise<Jobs>);

  /** A node of the build's graph, or a handler. It never changes: `with` makes another one. */
  export interface Job {
    readonly kind: "container" | "action" | "call" | "handler";
    readonly id: string;
    /** The options that it was made with. */
    readonly options: Readonly<ContainerOptions & ActionOptions>;
    /** The same job with other options: those that are given take the place of the ones that it has. */
    with(options: ContainerOptions & ActionOptions): Job;
  }

  /** A job, or the id of one. */
  export type JobRef = Job | string;

  /** A time with its unit: `"90s"`, `"10m"`, `"1h 30m"`. */
  export type Duration = `${number}ms` | `${number}s` | `${number}m` | `${number}h` | `${number}h ${number}m` | `${number}m ${number}s`;

  /** A size with its unit: `"512MiB"`. */
  export type Size = `${number}B` | `${number}KiB` | `${number}MiB` | `${number}GiB`;

  /**
   * A job that runs commands in a container, in a copy of the workspace. An id is 1 to 64 characters of `a-z A-Z 0-9 . _ -`, starts with a
   * letter or digit, and is used once in a build. Without an image, `refine` has to name one.
   */
  export function container(id: string, options: ContainerOptions): Job;

  /** A job that is a function of the script. It runs in an instance of its own, when the job's turn comes. */
  export function action(id: string, run: Action): Job;
  export function action(id: string, options: ActionOptions, run: Action): Job;

  /** What an action does; a promise is awaited. What it throws is the job's failure. */
  export type Action = (context: Context) => unknown;

  /** A function that jobs call by its name: the one of jobs that an action submits. It is returned among the jobs of the script. */
  export function handler(name: string, run: Action): Job;

  /** A job that calls a handler, which finds `argument` as `context.argument`. */
  export function call(id: string, handler: JobRef, argument?: string, options?: ActionOptions): Job;

  /** What jobs of both kinds can have, and that says when they run. */
  export interface GraphOptions {
    /** The job starts only after these have succeeded, and is skipped when one does not. */
    needs?: JobRef | Iterable<JobRef>;
    /** Like `needs`, but it is a fault of the graph when one of these is left out of the build. */
    requires?: JobRef | Iterable<JobRef>;
    /** Leaves the job out of the build when this is false; with a reason, which people see. */
    onlyIf?: boolean | readonly [condition: boolean, reason: string];
    /** When it runs, seen from the jobs that it needs: when all have succeeded (the default), when all are over, or when one failed. */
    runWhen?: "success" | "always" | "failure";
    /** Of several jobs that may start, the one with the higher number starts first. */
    priority?: number;
    /** The group of the job: when one of a group fails, the others are stopped. */
    failFast?: string;
    /** The job waits until a person approves this. */
    approval?: string;
    /** The job starts only when a person has it started, in one more run of the build. */
    manual?: boolean;
    /** Called when the job's turn comes: returns the options that were not known before, or skips the job. */
    refine?: (job: LateJob, context: Context) => RefinedOptions | undefined | void | Promise<RefinedOptions | undefined | void>;
  }

  /** What jobs of both kinds can have, and that says how they end. */
  export interface EndingOptions {
    /** A failure of the job is no failure of the build. */
    allowFailure?: boolean;
    /** Runs the job again, at most so often (at most 10 times), when it fails; or only on these causes, and after a pause. */
    retry?: number | { count: number; on?: RetryCause | Iterable<RetryCause>; delay?: Duration };
    /** Ends the job as a failure when it takes longer; without it, an hour. */
    timeout?: Duration;
    /** Labels, for people and tools. */
    labels?: Readonly<Record<string, string>>;
  }

  /** How a job ends that runs again. */
  export type RetryCause = "failure" | "error" | "timeout" | "out-of-memory" | `exit-code=${number}`;

  export interface ActionOptions extends GraphOptions, EndingOptions {
    /** The artifacts that the action creates, so that other jobs may restore them. */
    createsArtifacts?: string | Iterable<string>;
  }

  export interface ContainerOptions extends GraphOptions, EndingOptions, CommandOptions {}

  /** A late job, as it was declared. */
  export interface LateJob {
    readonly id: string;
    readonly options: Readonly<ContainerOptions & ActionOptions>;
  }

  /** What is said of a late job when its turn comes. */
  export interface RefinedOptions extends EndingOptions, CommandOptions {
    /** Skips the job, for this reason: an intended skip, and no failure. */
    skip?: string;
  }

  /** What a container job runs, and with what. */
  export interface CommandOptions {
    /** The image, such as `debian:12`. */
    image?: string;
    /** The program and its arguments, with no shell between. Excludes `shell`. */
    argv?: readonly string[];
    /** Lines for the image's `/bin/sh`, one shell for all of them; the first line that fails ends the job. */
    shell?: string | readonly string[];
    /** The shell for the lines, and its arguments. */
    shellProgram?: readonly string[];
    /** Each line runs in a shell of its own. */
    shellEach?: boolean;
    /** The user that the commands run as, `name`, `uid` or `uid:gid`. */
    user?: string;
    /** The processor architecture of the image, `amd64` or `arm64` say. */
    architecture?: string;
    /** What the job reaches beside its services. */
    network?: "internet" | "none";
    /** Lets the job reach this beside: an address, a range of addresses, or a name, each with or without a port. */
    allow?: string | Iterable<string>;
    /** Environment variables. */
    env?: Readonly<Record<string, string | number | boolean | Secret | Output | undefined>>;
    /** Secrets in files: the variables have the paths. */
    secretFiles?: Readonly<Record<string, Secret>>;
    /** Values of parameters in files, by the parameters' names: the variables have the paths. */
    paramFiles?: Readonly<Record<string, string>>;
    /** Globs of JUnit XML files, relative to the working directory. */
    testReports?: string | Iterable<string>;
    /** The working directory, relative to the workspace. */
    workDir?: string;
    /** The most memory. */
    memory?: Size;
    /** The most processor time, in cores: 0.5 say. */
    cpu?: number;
    /** The size of `/dev/shm`. */
    shmSize?: Size;
    /** When images are pulled. */
    pull?: "missing" | "always" | "never";
    /** Runs the image's entrypoint, with the job's command as its arguments. */
    entrypointOfImage?: boolean;
    /** The workspace has `.git`. */
    withGit?: boolean;
    /** Artifacts to save, by their ids: a path, or more. */
    saveArtifacts?: Readonly<Record<string, string | SavedArtifact>>;
    /** Artifacts to restore, by their ids: the directory into which they go, or more. */
    restoreArtifacts?: Readonly<Record<string, string | RestoredArtifact>>;
    /** Paths to keep from one build to the next, by the ids of caches. */
    caches?: Readonly<Record<string, string | readonly string[] | Cache>>;
    /** Containers beside the job, by the names of their hosts. */
    services?: Readonly<Record<string, Service>>;
  }

  export interface SavedArtifact {
    /** The file or directory, relative to the working directory. */
    path: string;
    /** Of a directory, only files that match one of these globs. */
    files?: string | readonly string[];
    /** Saves it also when the commands fail. */
    always?: boolean;
    /** Saves it only when the commands fail. */
    onFailure?: boolean;
    /** Saves it if there is something; else that is a failure. */
    ifThere?: boolean;
  }

  export interface RestoredArtifact {
    /** To where it was saved from, below this path. */
    into?: string;
    /** To this path itself. */
    as?: string;
    /** Only if it is there; the job does not need the one that saves it. */
    ifThere?: boolean;
  }

  export interface Cache {
    /** The path, or several. */
    path: string | readonly string[];
    /** Different contents have different keys: a digest of a lock file, say. */
    key?: string;
    /** Where nothing is there under the key, the newest whose key starts so. */
    fallback?: string | readonly string[];
    /** When it is saved. */
    save?: "success" | "always" | "miss" | "never";
  }

  export interface Service {
    image: string;
    argv?: readonly string[];
    env?: Readonly<Record<string, string | number | boolean | Secret | undefined>>;
    /** The job starts when this TCP port accepts a connection. */
    readyPort?: number;
    /** The job starts when this command, run in the service's container, exits with 0. */
    readyCommand?: readonly string[];
    /** How long that may take; without it, 60 seconds. */
    readyTimeout?: Duration;
  }

  /** An output of a job, for the environment of another one, which then needs it. */
  export function output(job: JobRef, name: string): Output;
  export interface Output {
    readonly job: string;
    readonly name: string;
  }

  /**
   * Jobs for every combination of some values, which are their labels too. `id("test")` is an id with the values in it.
   *
   *     matrix({ node: ["20", "22"] }, ({ node }, id) => container(id("test"), { image: `node:${node}`, shell: ["npm test"] }))
   */
  export function matrix<const Axes extends Readonly<Record<string, Iterable<string>>>>(
    axes: Axes,
    make: (values: Combination<Axes>, id: (prefix: string) => string) => Job,
    options?: { exclude?: (values: Combination<Axes>) => boolean },
  ): Job[];
  export type Combination<Axes> = { readonly [Name in keyof Axes]: Axes[Name] extends Iterable<infer Value> ? Value : never };

  /** Changes to jobs that somebody else declares; also to those that these jobs submit. */
  export function hooks(...rules: Hook[]): (jobs: Jobs) => Job[];
  export interface Hook {
    /** For which jobs; without it, for all. */
    select?: (job: Job) => boolean;
    change?: (job: Job) => Job;
    /** Called before the function of an action or handler. */
    before?: (context: Context) => unknown;
    /** Called behind it. A failure stays one. */
    after?: (context: Context, ended: { ok: true } | { ok: false; error: unknown }) => unknown;
  }

  // ---- the build ----------------------------------------------------------------------------------------------------

  export const build: Build;
  /** What is being built, and why. Everything is the same for the whole build. */
  export interface Build {
    /** `org/repo/build`. */
    readonly id: string;
    readonly org: string;
    readonly repo: string;
    readonly build: string;
    /** What started the build: `cli`, `api` or `webhook`; a webhook's kind may follow after a slash. */
    readonly trigger: string;
    readonly gitUrl?: string;
    readonly gitRef?: string;
    readonly branch?: string;
    readonly tag?: string;
    readonly commit?: string;
    readonly message?: string;
    readonly author?: string;
    readonly mainBranch?: string;
    /** As `git describe --tags` says it. */
    readonly describe?: string;
    readonly baseCommit?: string;
    readonly onMainBranch: boolean;
    /** The files that changed; none where that is not known. */
    readonly changes?: Changes;
    /** The names of all parameters that were given. */
    readonly params: string[];
    /** The names of all secrets that were given. */
    readonly secrets: string[];
    triggeredBy(what: string): boolean;
    branchMatches(glob: string): boolean;
    tagMatches(glob: string): boolean;
    /** Whether a file that matches changed in any way; true where that is not known. */
    touched(glob: string): boolean;
    added(glob: string): boolean;
    modified(glob: string): boolean;
    removed(glob: string): boolean;
  }
  export interface Changes {
    readonly added: string[];
    readonly modified: string[];
    readonly removed: string[];
    /** Old and new paths. */
    readonly renamed: [string, string][];
  }

  /** A parameter that whoever starts the build gives. Its value, or the default; `undefined` where there is neither. */
  export function param(name: string, options: ParamOptions<string> & { kind?: "text" } & Always<string>): string;
  export function param(name: string, options?: ParamOptions<string> & { kind?: "text" }): string | undefined;
  export function param(name: string, options: ParamOptions<number> & { kind: "integer" | "number" } & Always<number>): number;
  export function param(name: string, options: ParamOptions<number> & { kind: "integer" | "number" }): number | undefined;
  export function param(name: string, options: ParamOptions<boolean> & { kind: "boolean" } & Always<boolean>): boolean;
  export function param(name: string, options: ParamOptions<boolean> & { kind: "boolean" }): boolean | undefined;
  export function param<const C extends string>(name: string, options: ParamOptions<C> & { kind?: "choice"; choices: readonly C[] } & Always<NoInfer<C>>): C;
  export function param<const C extends string>(name: string, options: ParamOptions<C> & { kind?: "choice"; choices: readonly C[] }): C | undefined;
  export interface ParamOptions<T> {
    default?: NoInfer<T>;
    /** A build to which nobody gave a value can't run. */
    required?: boolean;
    /** What it is for, in a sentence. */
    description?: string;
  }
  type Always<T> = { default: T } | { required: true };

  /** A handle of a secret, whether anybody gave it or not: it goes into environments and files without the script holding the bytes. */
  export function secret(name: string): Secret;
  export interface Secret {
    readonly name: string;
    /** The secret itself: a permission of its own, and only for an action. */
    reveal(): Uint8Array;
    revealText(): string;
  }

  /** The code that is built, to read. Paths are relative to its root, their parts divided by `/`. */
  export const workspace: Workspace;
  export interface Workspace {
    /** The whole file, of at most 4 MiB. */
    readFile(path: string): Uint8Array;
    readText(path: string): string;
    readJson(path: string): any;
    /** The names in a directory, sorted; those of directories end in `/`. */
    readDir(path?: string): string[];
    /** The paths of all files that match one of the globs, sorted. */
    glob(...globs: (string | Iterable<string>)[]): string[];
    /** A digest of all files that match one of the globs: good for keys of caches. */
    hashFiles(...globs: (string | Iterable<string>)[]): string;
    stat(path: string): { kind: "file" | "directory" | "symlink" | "other"; size: number; executable: boolean } | undefined;
    exists(path: string): boolean;
    /** Opens a file, for reading in chunks. Only an action may do this. */
    open(path: string): Reader;
  }

  /** Reads a content from its start to its end: its chunks, one after the other. */
  export interface Reader extends Iterable<Uint8Array> {
    readonly size: number;
    /** The next bytes; none at the end. */
    read(max?: number): Uint8Array;
    close(): void;
  }

  // ---- actions ------------------------------------------------------------------------------------------------------

  /** What an action can see and do. Calls of the host return when they are done: nothing here has to be awaited. */
  export interface Context {
    readonly build: Build;
    readonly workspace: Workspace;
    readonly artifacts: Artifacts;
    /** What the job was given that calls a handler. */
    readonly argument?: string;
    /** A sentence for people on what came out. */
    message(text: string): void;
    /** The action ends well, but with something to look at. */
    warn(text: string): void;
    /** There was nothing to do. */
    skip(reason: string): void;
    /** Exposes a value to later jobs and to people. */
    output(name: string, value: string | number | boolean): void;
    link(title: string, url: string | URL): void;
    /** Adds a test report, a JUnit XML document. */
    testReport(junit: string): void;
    /** The share of the code that tests cover, in percent. */
    coverage(percent: number): void;
    /** Adds a message to the build's report. */
    report(message: string): void;
    /** Publishes an event of the script's own, with a value of JSON. */
    publish(name: string, value?: unknown): void;
    log(level: "debug" | "info" | "warn" | "error", message: string): void;
    /** What is known of a job now. */
    lookUp(job: JobRef): Outcome;
    /** Adds jobs to the build; their ids. */
    submit(jobs: Jobs): string[];
    /** Waits until the job is over; `undefined` when that takes longer than the timeout. */
    wait(job: JobRef): Outcome;
    wait(job: JobRef, options: { timeout?: Duration }): Outcome | undefined;
    waitAny(jobs: Iterable<JobRef>): Outcome;
    waitAny(jobs: Iterable<JobRef>, options: { timeout?: Duration }): Outcome | undefined;
    waitAll(jobs: Iterable<JobRef>): Outcome[];
    /** Reads the build's events in order. */
    subscribe(options?: SubscribeOptions): Subscription;
    /** The first event of this name, from the build's start on. */
    waitForEvent(name: string, timeout: Duration): Event | undefined;
    /** Writes a file into the action's output area, from where it can be saved as an artifact. */
    writeFile(path: string, contents: string | Uint8Array | ArrayBuffer): void;
    appendFile(path: string, contents: string | Uint8Array | ArrayBuffer): void;
  }

  export interface Outcome {
    readonly job: string;
    readonly status: "pending" | "blocked" | "queued" | "running" | "success" | "warning" | "failure" | "error" | "skipped" | "cancelled";
    readonly succeeded: boolean;
    readonly message?: string;
    readonly exitCode?: number;
    /** In milliseconds. */
    readonly duration?: number;
    readonly outputs: Readonly<Record<string, string>>;
    output(name: string): string | undefined;
    readonly links: { title: string; url: string }[];
    readonly coverage?: number;
    readonly tests?: { total: number; failed: number; skipped: number; failures: string[] };
  }

  export interface SubscribeOptions {
    kinds?: string | Iterable<string>;
    names?: string | Iterable<string>;
    jobs?: JobRef | Iterable<JobRef>;
    /** From the build's first event on. */
    fromStart?: boolean;
  }
  export interface Subscription {
    /** The next event; `undefined` when there is none within the timeout. */
    next(timeout: Duration): Event | undefined;
    close(): void;
  }
  export interface Event {
    readonly seq: number;
    readonly time: Date;
    /** `script/event` for one that a script published, `job/ended` and so on. */
    readonly kind: string;
    readonly name?: string;
    readonly job?: string;
    readonly payload: any;
  }

  /** The build's artifacts. */
  export interface Artifacts {
    list(): Artifact[];
    fileNames(id: string): string[];
    open(id: string, path: string): Reader;
    read(id: string, path: string): Uint8Array;
    readText(id: string, path: string): string;
    /** Starts an artifact with one file in it; the job has to have declared that it creates it. */
    create(id: string, path: string): Writer;
    write(id: string, path: string, contents: string | Uint8Array | ArrayBuffer): Artifact;
    /** Saves a file or directory of the action's output area as an artifact. */
    save(id: string, path: string): Artifact;
  }
  export interface Artifact {
    readonly id: string;
    readonly job: string;
    readonly size: number;
    readonly digest: string;
  }
  export interface Writer {
    write(contents: string | Uint8Array | ArrayBuffer): void;
    finish(): Artifact;
  }

  /** Why the host refused a call. */
  export class HostError extends Error {
    readonly code: "denied" | "not-found" | "invalid" | "conflict" | "quota" | "unavailable" | "other";
  }
}

// ---- what scripts find in the global scope beside the language itself -----------------------------------------------------

declare const console: {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  assert(condition: unknown, ...values: unknown[]): void;
  dir(value: unknown): void;
  table(value: unknown): void;
  count(label?: string): void;
  group(...values: unknown[]): void;
  groupEnd(): void;
};
declare function setTimeout(run: (...values: any[]) => unknown, delay?: number, ...values: any[]): number;
declare function setInterval(run: (...values: any[]) => unknown, delay?: number, ...values: any[]): number;
declare function setImmediate(run: (...values: any[]) => unknown, ...values: any[]): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;
declare function clearImmediate(id?: number): void;
declare function queueMicrotask(run: () => void): void;
declare function structuredClone<T>(value: T): T;
declare function atob(text: string): string;
declare function btoa(text: string): string;
declare const performance: { now(): number };
declare const crypto: { getRandomValues<T extends ArrayBufferView>(array: T): T; randomUUID(): string };
declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
  encodeInto(text: string, target: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  readonly encoding: "utf-8";
  readonly fatal: boolean;
  decode(input?: ArrayBuffer | ArrayBufferView): string;
}
declare class URLSearchParams implements Iterable<[string, string]> {
  constructor(init?: string | Iterable<[string, string]> | Record<string, string>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(run: (value: string, name: string, all: URLSearchParams) => void): void;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  readonly href: string;
  readonly origin: string;
  readonly protocol: string;
  username: string;
  password: string;
  readonly host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  toString(): string;
  toJSON(): string;
}
