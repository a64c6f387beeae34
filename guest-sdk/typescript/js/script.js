// The module `monkeyci`: what build scripts import.
import host from "monkeyci:host";
import { build, bytes, decoded, matrix, milliseconds, param, readAll, reader, secret, workspace } from "monkeyci:build";
import { load } from "monkeyci:commonjs";
import { Job, Output, callable, like, list, must, object, ref, shown, text, translate, TABLES } from "monkeyci:options";

export { build, matrix, param, secret, workspace };

/** Why the host refused a call. */
export class HostError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
  get name() { return "HostError"; }
}
host("host-error", HostError);
host("whereabouts", () => new Error().stack);

// ---- jobs ---------------------------------------------------------------------------------------------------------------

/** A job that runs commands in a container. */
export const container = (id, options) => {
  const job = new Job("container", id, options);
  if (job.options.image === undefined && !job.options.refine) throw new TypeError(`the job ${JSON.stringify(id)} has no image, and no function refine that names one`);
  return job;
};

/** A job that is a function of the script. */
export const action = (id, ...rest) => {
  const run = rest.find((it) => typeof it === "function");
  const options = rest.filter((it) => it !== run);
  if (!run || options.length > 1) throw new TypeError(`the action ${shown(id)} has to have a function, and perhaps options: action(id, options, function)`);
  return new Job("action", id, options[0] ?? {}, run);
};

/** A function that jobs call by its name: those that an action submits. */
export const handler = (name, run) => new Job("handler", name, {}, must(callable, run, `the handler ${shown(name)}`));

/** A job that calls a handler, with an argument. */
export const call = (id, of, argument = "", options = {}) =>
  new Job("call", id, options, undefined, [["calls", must(ref, of, `what the job ${shown(id)} calls`), must(text, argument, `the argument of the job ${shown(id)}`)]]);

/** An output of a job, for the environment of another one. */
export const output = (job, name) => new Output(job, name);

const flat = (jobs, at) => {
  if (jobs instanceof Job) return [jobs];
  if (jobs === undefined || jobs === null || jobs === false) return [];
  if (typeof jobs === "object" && Symbol.iterator in jobs) return [...jobs].flatMap((it) => flat(it, at));
  throw new NoJobs(`${at} has to be jobs, and is ${shown(jobs)}`);
};
class NoJobs extends TypeError {}
Object.defineProperty(NoJobs.prototype, "name", { value: "TypeError" });

const RULE = ["select", "change", "before", "after"];
/** Changes to jobs that somebody else declares, also to those that they submit. */
export function hooks(...rules) {
  for (const rule of rules) {
    for (const [key, value] of Object.entries(must(object, rule, "a hook"))) {
      if (!RULE.includes(key)) throw new TypeError(`a hook has no ${key}${like(key, RULE)}`);
      must(callable, value, `${key} of a hook`);
    }
  }
  const apply = (jobs) => flat(jobs, "what hooks are applied to").map((job) => {
    for (const { select = () => true, change, before, after } of rules) {
      if (!select(job)) continue;
      if (change) {
        job = change(job);
        if (!(job instanceof Job)) throw new TypeError(`what a hook changes has to be a job, and is ${shown(job)}`);
      }
      const run = Job.run(job);
      if (!run || !(before || after)) continue;
      job = Job.running(job, async (context) => {
        let ended = { ok: true };
        try {
          await before?.(context);
          await run(context);
        } catch (error) {
          ended = { ok: false, error };
        }
        await after?.(context, ended);
        if (!ended.ok) throw ended.error;
      });
    }
    const run = Job.run(job);
    return run ? Job.running(job, (context) => run(contextOf([...context[RULES], apply]))) : job;
  });
  return apply;
}

// ---- what an action can see and do --------------------------------------------------------------------------------------

const RULES = Symbol("rules");

const OUTCOME = ["status", "message", "exitCode", "duration", "outputs", "links", "coverage", "tests"];
// Each is asked for when the script wants it.
const outcome = (job) => {
  const it = host("look-up", job);
  const parts = Object.fromEntries(OUTCOME.map((name) => [name, { get: () => host("outcome", it, name), enumerable: true }]));
  parts.succeeded = { get: () => ["success", "warning"].includes(host("outcome", it, "status")), enumerable: true };
  return Object.freeze(Object.defineProperties({ job, output: (name) => host("outcome", it, "output", must(text, name, "the name of an output")) }, parts));
};
const ids = (jobs) => list(jobs).map((it) => must(ref, it, "a job to wait for"));
const within = (options, what) => {
  for (const key of Object.keys(must(object, options, `the options of ${what}`))) if (key !== "timeout") throw new TypeError(`${what} has no option ${key}; there is: timeout`);
  return options.timeout === undefined ? undefined : milliseconds(options.timeout, `the timeout of ${what}`);
};
const event = (it) => it && Object.freeze({ ...it, time: new Date(it.time), payload: JSON.parse(it.payload) });

class Subscription {
  #handle;
  constructor({ kinds = [], names = [], jobs = [], fromStart = false, ...other } = {}) {
    for (const key of Object.keys(other)) throw new TypeError(`a subscription has no option ${key}; there are: kinds, names, jobs, fromStart`);
    const all = (values, kind, at) => list(values).map((it) => must(kind, it, at));
    this.#handle = host("subscribe", !!fromStart, all(kinds, text, "a kind of events"), all(names, text, "a name of events"), all(jobs, ref, "a job of events"));
  }
  next(timeout) { return event(host("next-event", this.#handle, milliseconds(timeout, "how long to wait for an event"))); }
  close() { host("drop", this.#handle); }
}

class Writer {
  #handle;
  constructor(handle) { this.#handle = handle; }
  write(contents) {
    const all = bytes(contents, "the contents");
    for (let at = 0; at < all.length; at += 1 << 20) host("writer-write", this.#handle, all.subarray(at, at + (1 << 20)));
  }
  finish() { return host("writer-finish", this.#handle); }
}

const artifacts = Object.freeze({
  list: () => host("artifacts"),
  fileNames: (id) => host("artifact-files", must(text, id, "the id of an artifact")),
  open: (id, path) => reader(host("artifact-open", must(text, id, "the id of an artifact"), must(text, path, "a path"))),
  read: (id, path) => readAll(host("artifact-open", must(text, id, "the id of an artifact"), must(text, path, "a path"))),
  readText: (id, path) => decoded(artifacts.read(id, path), JSON.stringify(path)),
  create: (id, path) => new Writer(host("artifact-create", must(text, id, "the id of an artifact"), must(text, path, "a path"))),
  write: (id, path, contents) => {
    const writer = artifacts.create(id, path);
    writer.write(contents);
    return writer.finish();
  },
  save: (id, path) => host("artifact-save", must(text, id, "the id of an artifact"), must(text, path, "a path")),
});

const said = (name, at) => (it) => host(name, must(text, it, at));
const LEVELS = ["debug", "info", "warn", "error"];

const ACTIONS = {
  build, workspace, artifacts,
  message: said("message", "a message"),
  warn: said("warn", "a warning"),
  skip: said("skip", "the reason of a skip"),
  report: said("report", "a report"),
  testReport: said("test-report", "a test report"),
  output: (name, value) => {
    if (!["string", "number", "boolean"].includes(typeof value)) throw new TypeError(`the output ${shown(name)} has to be a text, a number, true or false, and is ${shown(value)}`);
    host("output", must(text, name, "the name of an output"), String(value));
  },
  link: (title, url) => host("link", must(text, title, "the title of a link"), String(url)),
  coverage: (percent) => {
    if (typeof percent !== "number") throw new TypeError(`a coverage has to be a number, and is ${shown(percent)}`);
    host("coverage", percent);
  },
  publish: (name, value = null) => {
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError(`what is published has to be a value of JSON, and is ${shown(value)}`);
    host("publish", must(text, name, "the name of an event"), json);
  },
  log: (level, message) => {
    if (!LEVELS.includes(level)) throw new TypeError(`a level has to be one of ${LEVELS.join(", ")}, and is ${shown(level)}`);
    host("log", level, String(message));
  },
  lookUp: (job) => outcome(must(ref, job, "a job to look up")),
  wait: (job, options = {}) => ACTIONS.waitAny([must(ref, job, "a job to wait for")], options),
  waitAny: (jobs, options = {}) => {
    const over = host("wait-any", ids(jobs), within(options, "waiting"));
    return over === undefined ? undefined : outcome(over);
  },
  waitAll: (jobs) => ids(jobs).map((id) => ACTIONS.wait(id)),
  subscribe: (options) => new Subscription(options),
  waitForEvent: (name, timeout) => {
    const events = new Subscription({ names: [name], fromStart: true });
    try {
      return events.next(timeout);
    } finally {
      events.close();
    }
  },
  writeFile: (path, contents) => host("write-file", must(text, path, "a path"), bytes(contents, "the contents of a file")),
  appendFile: (path, contents) => host("append-file", must(text, path, "a path"), bytes(contents, "the contents of a file")),
};

const contextOf = (rules) => {
  const submit = (jobs) => {
    const all = rules.reduce((all, apply) => apply(all), flat(jobs, "what is submitted"));
    for (const job of all) {
      const what = JSON.stringify(job.id);
      if (job.options.refine) throw new TypeError(`the job ${what} can't be submitted with a function that refines it: say all of it now`);
      if (job.kind === "handler") throw new TypeError(`the handler ${what} is no job: return it among the jobs of the script, and submit a call of it`);
      if (job.kind === "action") throw new TypeError(`the action ${what} can't be submitted with its function: make a handler of that, and submit a call of it`);
    }
    host("submit", all.map((job) => [job.kind, job.id, Job.calls(job)]));
    return all.map((job) => job.id);
  };
  const context = { ...ACTIONS, submit, [RULES]: rules };
  return Object.freeze(Object.defineProperty(context, "argument", { get: () => host("argument"), enumerable: true }));
};

// ---- what the host calls ------------------------------------------------------------------------------------------------

const runs = new Map();
const refines = new Map();

/** Where a function stands, as a line of a stack. */
const place = (it) => (typeof it === "function" && it.fileName ? `${it.fileName}:${it.lineNumber}:${it.columnNumber}` : "");
const there = (error, at) => {
  if (at) Object.defineProperty(error, "stack", { value: `    at ${at}\n`, configurable: true, writable: true });
  return error;
};

host("entries", {
  load,
  async define(file, script) {
    if (script === undefined) throw there(new TypeError("it has no default export: a script exports its jobs, or a function that returns them, as `export default`"), `${file}:1:1`);
    const at = place(script) || `${file}:1:1`;
    host("running", "the script's function", at);
    const returned = typeof script === "function" ? await script(build) : await script;
    let jobs;
    try {
      jobs = flat(returned, "what the script returns");
    } catch (error) {
      throw error instanceof NoJobs ? there(error, at) : error;
    }
    for (const job of jobs) {
      const run = Job.run(job);
      if (job.kind === "handler" && runs.has(job.id)) throw there(new TypeError(`the handler ${JSON.stringify(job.id)} has the name of another handler or action; give it one of its own`), place(run));
      if (run) runs.set(job.id, { run, limit: job.options.timeout && milliseconds(job.options.timeout, "the timeout") });
      if (job.options.refine) refines.set(job.id, job);
      if (job.kind !== "handler") host("declare", job.kind, job.id, Job.calls(job));
    }
  },
  act(id) {
    if (!runs.has(id)) throw new TypeError(`the script has no action and no handler ${JSON.stringify(id)}`);
    const { run, limit } = runs.get(id);
    host("running", `the function of ${JSON.stringify(id)}`, place(run), limit);
    return run(contextOf([]));
  },
  async refine(id) {
    const job = refines.get(id);
    if (!job) throw new TypeError(`the script has no function that refines the job ${JSON.stringify(id)}`);
    const { refine } = job.options;
    host("running", `the function that refines ${JSON.stringify(id)}`, place(refine));
    const said = await refine(Object.freeze({ id, options: job.options }), contextOf([]));
    if (said === undefined) return [];
    try {
      return translate(`what refines the job ${JSON.stringify(id)}`, TABLES.refined, said);
    } catch (error) {
      throw there(error, place(refine));
    }
  },
});
