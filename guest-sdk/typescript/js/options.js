// The options of jobs: each becomes calls of the contract's setters. What is unknown or of another kind is an error where the author
// wrote it.

/** A secret, by its name. */
export class Secret {
  constructor(name, host) {
    this.name = name;
    this.reveal = () => host("reveal", name);
    this.revealText = () => {
      const text = host("utf8-decode-if", this.reveal());
      if (text === undefined) throw new TypeError(`the secret ${JSON.stringify(name)} is not UTF-8`);
      return text;
    };
    Object.freeze(this);
  }
  toString() { return `[secret ${this.name}]`; }
  toJSON() { throw new TypeError(`the secret ${JSON.stringify(this.name)} is a handle: it has no value to be written down`); }
}

/** An output of a job, for the environment of another one. */
export class Output {
  constructor(job, name) {
    this.job = must(ref, job, "the job of an output");
    this.name = must(text, name, "the name of an output");
    Object.freeze(this);
  }
}

/** A value in words. */
export const shown = (value) => {
  if (typeof value === "string") return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value);
  if (Array.isArray(value)) return value.length ? `a list of ${value.length}` : "an empty list";
  if (value instanceof Promise) return "a promise; await it first";
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Object.getPrototypeOf(value) === Object.prototype ? "an object" : String(value.constructor?.name ?? "an object");
  return String(value);
};

/** The one of several names that is most like another one. */
export const like = (name, names) => {
  const distance = (a, b) => {
    let row = Array.from({ length: b.length + 1 }, (_, at) => at);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      row = next;
    }
    return row[b.length];
  };
  const plain = (it) => it.toLowerCase().replace(/[^a-z]/g, "");
  const [best] = names.map((it) => [distance(plain(name), plain(it)), it]).sort(([a], [b]) => a - b);
  return best && best[0] <= Math.max(1, Math.floor(name.length / 3)) ? `; did you mean ${best[1]}?` : `; there are: ${names.join(", ")}`;
};

const kind = (what, read) => Object.assign(read, { what });
export const must = (kind, value, at) => {
  const read = kind(value);
  if (read === undefined) throw new TypeError(`${at} has to be ${kind.what}, and is ${shown(value)}`);
  return read;
};
export const text = kind("a text", (it) => (typeof it === "string" ? it : undefined));
export const flag = kind("true or false", (it) => (typeof it === "boolean" ? it : undefined));
const whole = (from, to) => kind(`a whole number from ${from} to ${to}`, (it) => (Number.isInteger(it) && it >= from && it <= to ? it : undefined));
const one = (...names) => kind(`one of ${names.map((it) => JSON.stringify(it)).join(", ")}`, (it) => (names.includes(it) ? it : undefined));
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
export const duration = kind('a duration such as "90s", "10m" or "1h 30m"', (it) => {
  if (typeof it !== "string" || !/^\s*(\d+(\.\d+)?\s*(ms|s|m|h)\s*)+$/.test(it)) return undefined;
  return Math.round([...it.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0));
});
const SIZES = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
const size = kind('a size such as "512MiB" or "2GiB"', (it) => {
  const [, count, unit] = (typeof it === "string" && /^\s*(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)\s*$/.exec(it)) || [];
  return unit ? Math.round(Number(count) * SIZES[unit]) : undefined;
});
const cores = kind("a number of processor cores such as 0.5", (it) => (typeof it === "number" && it > 0 && it < 1e6 ? Math.max(1, Math.round(it * 1000)) : undefined));
export const ref = kind("a job, or the id of one", (it) => (typeof it === "string" ? it : it instanceof Job ? it.id : undefined));
const words = kind("a list of texts", (it) => (Array.isArray(it) && it.every((word) => typeof word === "string") ? it : undefined));
const lines = kind("a text, or a list of texts", (it) => words(typeof it === "string" ? [it] : it));
export const object = kind("an object", (it) => (typeof it === "object" && it !== null && [Object.prototype, null].includes(Object.getPrototypeOf(it)) ? it : undefined));
export const callable = kind("a function", (it) => (typeof it === "function" ? it : undefined));

/** The items of a list, or the one that is none. */
export const list = (value) => (typeof value === "object" && value !== null && Symbol.iterator in value ? [...value] : [value]);

const set = (setter, kind) => (value, call, at) => call(setter, must(kind, value, at));
const flagged = (setter) => (value, call, at) => must(flag, value, at) && call(setter);
const each = (setter, kind) => (value, call, at) => list(value).forEach((it) => call(setter, must(kind, it, at)));
const named = (take) => (value, call, at) => {
  for (const [name, it] of Object.entries(must(object, value, at))) if (it !== undefined) take(name, it, call, `${at}.${name}`);
};
/** Options within an option: a short form for the most usual one of them, or an object. */
const within = (short, table) => (value, at) => {
  const given = object(value) ?? { [short]: value };
  for (const [name, it] of Object.entries(given)) if (it !== undefined && !(name in table)) throw new TypeError(`${at}: there is no option ${name}${like(name, Object.keys(table))}`);
  return Object.fromEntries(Object.entries(table).map(([name, kind]) => [name, given[name] === undefined ? undefined : must(kind, given[name], given === value ? `${at}.${name}` : at)]));
};

const environment = named((name, value, call, at) => {
  if (value instanceof Secret) call("secret-env", name, value.name);
  else if (value instanceof Output) call("output-env", name, value.job, value.name);
  else if (["string", "number", "boolean"].includes(typeof value)) call("env", name, String(value));
  else throw new TypeError(`${at} has to be a text, a number, true or false, a secret, or an output of a job, and is ${shown(value)}`);
});

const retried = within("count", { count: whole(0, 10), on: kind("a list of causes", (it) => words(list(it))), delay: duration });
const saved = within("path", { path: text, files: lines, always: flag, onFailure: flag, ifThere: flag });
const restored = within("into", { into: text, as: text, ifThere: flag });
const cached = within("path", { path: lines, key: text, fallback: lines, save: one("success", "always", "miss", "never") });

const SERVICE = {
  image: () => {},
  argv: set("argv", words),
  env: environment,
  readyPort: set("ready-port", whole(1, 65535)),
  readyCommand: set("ready-command", words),
  readyTimeout: set("ready-timeout", duration),
};

const CAUSES = ["failure", "error", "timeout", "out-of-memory"];
const ENDING = {
  allowFailure: flagged("allow-failure"),
  retry: (value, call, at) => {
    const { count, on = [], delay } = retried(value, at);
    if (count !== undefined) call("retry", count);
    for (const cause of on) {
      if (!CAUSES.includes(cause) && !/^exit-code=-?\d+$/.test(cause)) throw new TypeError(`${at}.on has to be of ${CAUSES.join(", ")} or exit-code=N, and is ${shown(cause)}`);
      call("retry-on", cause);
    }
    if (delay !== undefined) call("retry-delay", delay);
  },
  timeout: set("timeout", duration),
  labels: named((name, value, call, at) => call("label", name, must(text, value, at))),
};

const GRAPH = {
  needs: each("needs", ref),
  requires: each("requires", ref),
  onlyIf: (value, call, at) => {
    const [condition, reason = "its condition does not hold"] = Array.isArray(value) ? value : [value];
    if (typeof condition !== "boolean" || typeof reason !== "string") throw new TypeError(`${at} has to be true or false, or a list of that and a reason, and is ${shown(value)}`);
    if (!condition) call("remove", reason);
  },
  runWhen: (value, call, at) => must(one("success", "always", "failure"), value, at) !== "success" && call("run-when", value),
  priority: set("priority", whole(-(2 ** 31), 2 ** 31 - 1)),
  failFast: set("fail-fast", text),
  approval: set("approval", text),
  manual: flagged("manual"),
  refine: (value, call, at) => must(callable, value, at) && call("late"),
};

const CONTAINER = {
  image: set("image", text),
  argv: set("argv", words),
  shell: set("shell", lines),
  shellProgram: set("shell-program", words),
  shellEach: flagged("shell-each"),
  user: set("user", text),
  architecture: set("architecture", text),
  network: set("network", one("internet", "none")),
  allow: each("network-allow", text),
  env: environment,
  secretFiles: named((name, value, call, at) => {
    if (!(value instanceof Secret)) throw new TypeError(`${at} has to be a secret, and is ${shown(value)}`);
    call("secret-file", name, value.name);
  }),
  paramFiles: named((name, value, call, at) => call("param-file", name, must(text, value, at))),
  testReports: each("test-report", text),
  workDir: set("work-dir", text),
  memory: set("memory", size),
  cpu: set("cpu", cores),
  shmSize: set("shm-size", size),
  pull: set("pull", one("missing", "always", "never")),
  entrypointOfImage: flagged("entrypoint-of-image"),
  withGit: flagged("with-git"),
  saveArtifacts: named((id, value, call, at) => {
    const { path, files, always, onFailure, ifThere } = saved(value, at);
    if (path === undefined) throw new TypeError(`${at} has no path`);
    call("save-artifact", id, path);
    if (files) call("artifact-files", id, files);
    if (always) call("artifact-always", id);
    if (onFailure) call("artifact-on-failure", id);
    if (ifThere) call("artifact-if-there", id);
  }),
  restoreArtifacts: named((id, value, call, at) => {
    const { into, as, ifThere } = restored(value, at);
    if ((into === undefined) === (as === undefined)) throw new TypeError(`${at} has to have one of into and as`);
    call(`restore-artifact${as === undefined ? "" : "-as"}${ifThere ? "-if-there" : ""}`, id, into ?? as);
  }),
  caches: named((id, value, call, at) => {
    const { path, key, fallback = [], save } = cached(Array.isArray(value) ? { path: value } : value, at);
    if (!path?.length) throw new TypeError(`${at} has no path`);
    call("cache", id, path[0]);
    path.slice(1).forEach((more) => call("cache-path", id, more));
    if (key !== undefined) call("cache-key", id, key);
    fallback.forEach((prefix) => call("cache-fallback", id, prefix));
    if (save) call("cache-save", id, save);
  }),
  services: named((name, value, call, at) => {
    const given = must(object, value, at);
    call("service", name, must(text, given.image, `${at}.image`), translate(at, SERVICE, given));
  }),
};

const ACTION = { createsArtifacts: each("creates-artifact", text) };

const table = (...parts) => Object.assign(Object.create(null), ...parts);
export const TABLES = {
  container: table(GRAPH, ENDING, CONTAINER),
  action: table(GRAPH, ENDING, ACTION),
  refined: table(ENDING, CONTAINER, { skip: set("skip", text) }),
};

/** The calls that options become. */
export function translate(what, table, options) {
  const calls = [];
  for (const [name, value] of Object.entries(must(object, options, `the options of ${what}`))) {
    if (value === undefined) continue;
    const take = Object.hasOwn(table, name) || name in table ? table[name] : undefined;
    if (!take) throw new TypeError(`${what}: there is no option ${name}${like(name, Object.keys(table))}`);
    take(value, (...call) => calls.push(call), `${what}: the option ${name}`);
  }
  return calls;
}

/** A job, or a function that jobs call by its name. Made by `container`, `action`, `call` and `handler`. */
export class Job {
  #calls;
  #run;
  constructor(kind, id, options, run, calls = []) {
    this.kind = kind;
    this.id = must(text, id, `the id of a job`);
    this.options = Object.freeze({ ...options });
    this.#calls = kind === "handler" ? [] : [...calls, ...translate(`the job ${JSON.stringify(id)}`, TABLES[kind === "container" ? kind : "action"], options)];
    this.#run = run;
    this.#own = calls;
    Object.freeze(this);
  }
  #own;
  /** The same job with other options: those that are given take the place of the ones that it has. */
  with(options) { return new Job(this.kind, this.id, { ...this.options, ...must(object, options, "the options") }, this.#run, this.#own); }
  static calls(job) { return job.#calls; }
  static run(job) { return job.#run; }
  static running(job, run) { return new Job(job.kind, job.id, job.options, run, job.#own); }
}
