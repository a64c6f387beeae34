// What is being built, its parameters and secrets, and its files.
import host from "monkeyci:host";
import { Secret, duration, flag, list, must, object, shown, text } from "monkeyci:options";

const texts = (value, at) => list(value).map((it) => must(text, it, at));

const INFO = {
  id: "id", org: "org", repo: "repo", build: "build", trigger: "trigger", gitUrl: "git-url", gitRef: "git-ref", branch: "branch", tag: "tag",
  commit: "commit", message: "message", author: "author", mainBranch: "main-branch", describe: "describe", baseCommit: "base-commit",
};

let changes;
const touched = (kinds) => (glob) => {
  must(text, glob, "a glob");
  const known = build.changes;
  if (!known) return true;
  return kinds.flatMap((kind) => known[kind].flat()).some((path) => host("matches", glob, path));
};

/** What is being built, and why. */
export const build = Object.freeze(Object.defineProperties({
  triggeredBy: (what) => build.trigger === what || build.trigger.startsWith(`${what}/`),
  branchMatches: (glob) => build.branch !== undefined && host("matches", must(text, glob, "a glob"), build.branch),
  tagMatches: (glob) => build.tag !== undefined && host("matches", must(text, glob, "a glob"), build.tag),
  touched: touched(["added", "modified", "removed", "renamed"]),
  added: touched(["added"]),
  modified: touched(["modified"]),
  removed: touched(["removed"]),
}, {
  ...Object.fromEntries(Object.entries(INFO).map(([name, call]) => [name, { get: () => host("build", call), enumerable: true }])),
  onMainBranch: { get: () => build.branch !== undefined && build.branch === build.mainBranch, enumerable: true },
  changes: { get: () => (changes ??= [host("changes")])[0], enumerable: true },
  params: { get: () => host("param-names"), enumerable: true },
  secrets: { get: () => host("secret-names"), enumerable: true },
}));

const KINDS = ["text", "integer", "number", "boolean", "choice"];
const declared = new Map();
const PARAM = ["kind", "choices", "default", "required", "description"];

/** A parameter that whoever starts the build gives; declared in `define`, with its kind and default. */
export function param(name, options = {}) {
  must(text, name, "the name of a parameter");
  const what = `the parameter ${JSON.stringify(name)}`;
  must(object, options, `the options of ${what}`);
  for (const key of Object.keys(options)) if (!PARAM.includes(key)) throw new TypeError(`${what}: there is no option ${key}; there are: ${PARAM.join(", ")}`);
  const { choices, required, description } = options;
  const kind = options.kind ?? (choices ? "choice" : "text");
  if (!KINDS.includes(kind)) throw new TypeError(`${what}: its kind has to be one of ${KINDS.join(", ")}, and is ${shown(kind)}`);
  const type = { integer: "number", number: "number", boolean: "boolean" }[kind] ?? "string";
  if (options.default !== undefined && typeof options.default !== type) throw new TypeError(`${what}: its default has to be a ${type}, and is ${shown(options.default)}`);
  if (choices !== undefined) texts(choices, `${what}: each choice`);
  if (description !== undefined) must(text, description, `${what}: its description`);
  if (required !== undefined) must(flag, required, `${what}: required`);
  const initial = options.default === undefined ? undefined : String(options.default);
  // An action's instance has been told in `define`; what is declared there for the first time is only asked for.
  const value = host("param", name, { kind, choices: choices && [...choices], initial, required: !!required, description, known: declared.has(name) });
  declared.set(name, true);
  if (value === undefined) return undefined;
  if (kind === "boolean") return value === "true";
  return type === "number" ? Number(value) : value;
}

/** A handle of a secret, whether anybody gave it or not. */
export function secret(name) {
  host("secret", must(text, name, "the name of a secret"));
  return new Secret(name, host);
}

class Reader {
  #handle;
  constructor(handle) { this.#handle = handle; Object.freeze(this); }
  get size() { return host("reader-size", this.#handle); }
  read(max = 1 << 20) { return host("reader-read", this.#handle, max); }
  *[Symbol.iterator]() { for (let part = this.read(); part.length; part = this.read()) yield part; }
  close() { host("drop", this.#handle); }
}

/** All that a reader has. */
export const readAll = (handle) => {
  const reader = new Reader(handle);
  try {
    const parts = [...reader];
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  } finally {
    reader.close();
  }
};
export const reader = (handle) => new Reader(handle);
export const decoded = (bytes, what) => {
  const it = host("utf8-decode-if", bytes);
  if (it === undefined) throw new TypeError(`${what} is not a text in UTF-8`);
  return it;
};
export const bytes = (contents, at) => {
  if (typeof contents === "string") return new TextEncoder().encode(contents);
  if (contents instanceof ArrayBuffer) return new Uint8Array(contents);
  if (ArrayBuffer.isView(contents)) return new Uint8Array(contents.buffer, contents.byteOffset, contents.byteLength);
  throw new TypeError(`${at} have to be a text or bytes, and are ${shown(contents)}`);
};
const path = (it) => must(text, it, "a path");

/** The code that is built, to read. */
export const workspace = Object.freeze({
  readFile: (file) => host("read-file", path(file)),
  readText: (file) => decoded(host("read-file", path(file)), JSON.stringify(file)),
  readJson: (file) => {
    try {
      return JSON.parse(workspace.readText(file));
    } catch (error) {
      throw error instanceof SyntaxError ? new SyntaxError(`${file}: ${error.message}`) : error;
    }
  },
  readDir: (directory = ".") => host("read-dir", path(directory)),
  glob: (...globs) => host("glob", globs.flatMap((it) => texts(it, "a glob"))),
  hashFiles: (...globs) => host("hash-files", globs.flatMap((it) => texts(it, "a glob"))),
  stat: (file) => host("stat", path(file)),
  exists: (file) => host("stat", path(file)) !== undefined,
  open: (file) => new Reader(host("open", path(file))),
});

/** Jobs for every combination of some values. */
export function matrix(axes, make, options = {}) {
  must(object, axes, "the axes of a matrix");
  for (const key of Object.keys(must(object, options, "the options of a matrix"))) if (key !== "exclude") throw new TypeError(`a matrix has no option ${key}; there is: exclude`);
  let all = [{}];
  for (const [name, values] of Object.entries(axes)) {
    const given = list(values).map((it) => must(text, it, `the values of the axis ${name}`));
    all = all.flatMap((before) => given.map((value) => ({ ...before, [name]: value })));
  }
  const { exclude = () => false } = options;
  return all.filter((values) => !exclude(values)).map((values) => {
    const id = (prefix) => [prefix, ...Object.values(values)].map((it, at) => (at ? it.replace(/[^A-Za-z0-9._-]/g, "-") : it)).join("-");
    const job = make(Object.freeze(values), id);
    return job.with({ labels: { ...values, ...job.options.labels } });
  });
}

export const milliseconds = (value, at) => must(duration, value, at);
