// What scripts find in the global scope beside the language itself. A function of the host's calls.
(host) => {
  "use strict";
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

  // ---- what is printed ------------------------------------------------------------------------------------------------

  const DEEPEST = 4;
  const inspect = (value, depth = 0, above = []) => {
    switch (typeof value) {
      case "string": return depth ? JSON.stringify(value) : value;
      case "bigint": return `${value}n`;
      case "function": return value.name ? `[function ${value.name}]` : "[function]";
      case "object": break;
      default: return String(value);
    }
    if (value === null) return "null";
    if (value instanceof Error) return host("describe", value);
    if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp || value instanceof URL) return String(value);
    if (value instanceof Promise) return "[Promise]";
    if (above.includes(value)) return "[circular]";
    if (depth >= DEEPEST) return Array.isArray(value) ? "[array]" : "[object]";
    const inner = (it) => inspect(it, depth + 1, [...above, value]);
    if (Array.isArray(value) || ArrayBuffer.isView(value)) return `[${Array.from(value, inner).join(", ")}]`;
    if (value instanceof Map) return `Map {${Array.from(value, ([key, it]) => `${inner(key)} => ${inner(it)}`).join(", ")}}`;
    if (value instanceof Set) return `Set {${Array.from(value, inner).join(", ")}}`;
    const name = value.constructor?.name;
    const parts = Object.entries(value).map(([key, it]) => `${/^[\w$]+$/.test(key) ? key : JSON.stringify(key)}: ${inner(it)}`);
    return `${name && name !== "Object" ? `${name} ` : ""}{${parts.length ? ` ${parts.join(", ")} ` : ""}}`;
  };
  const print = (where) => (...values) => {
    let text = values;
    if (typeof values[0] === "string" && /%[sdifoOj]/.test(values[0])) {
      const rest = values.slice(1);
      const first = values[0].replace(/%[sdifoOj%]/g, (mark) => {
        if (mark === "%%") return "%";
        if (!rest.length) return mark;
        const value = rest.shift();
        return mark === "%d" || mark === "%i" ? String(parseInt(value)) : mark === "%f" ? String(parseFloat(value)) : mark === "%j" ? JSON.stringify(value) : inspect(value);
      });
      text = [first, ...rest];
    }
    host("print", where, text.map((it) => inspect(it)).join(" "));
  };
  const counts = new Map();
  const console = {
    log: print("out"), info: print("out"), warn: print("err"), error: print("err"), debug: print("debug"),
    dir: (value) => console.log(value),
    table: (value) => console.log(value),
    trace: (...values) => console.error(...values, new Error("trace")),
    assert: (condition, ...values) => condition || console.error("assertion failed:", ...values),
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      console.log(`${label}: ${counts.get(label)}`);
    },
    group: (...values) => console.log(...values),
    groupEnd: () => {},
  };
  define("console", console);

  // ---- text and bytes -------------------------------------------------------------------------------------------------

  const bytesOf = (input) => {
    if (input === undefined) return new Uint8Array();
    if (input instanceof ArrayBuffer) return new Uint8Array(input);
    if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    throw new TypeError("bytes have to be an ArrayBuffer or a view of one");
  };
  define("TextEncoder", class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return host("utf8-encode", String(text)); }
    encodeInto(text, target) {
      let read = 0, written = 0;
      for (const char of String(text)) {
        const bytes = host("utf8-encode", char);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += char.length;
      }
      return { read, written };
    }
  });
  define("TextDecoder", class TextDecoder {
    #fatal;
    constructor(label = "utf-8", options = {}) {
      if (!/^(unicode-1-1-)?utf-?8$/i.test(label)) throw new RangeError(`there is no encoding ${label}: only utf-8 is known`);
      this.#fatal = !!options.fatal;
    }
    get encoding() { return "utf-8"; }
    get fatal() { return this.#fatal; }
    decode(input) { return host("utf8-decode", bytesOf(input), this.#fatal); }
  });

  // ---- chance ---------------------------------------------------------------------------------------------------------

  // From the script's own source of randomness: the same while `define` runs, another one in each action.
  Math.random = () => host("random");
  define("crypto", {
    getRandomValues: (array) => {
      bytesOf(array).forEach((_, at, bytes) => (bytes[at] = Math.floor(host("random") * 256)));
      return array;
    },
    randomUUID: () => {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    },
  });
  define("structuredClone", (value) => {
    const seen = new Map();
    const clone = (it) => {
      if (typeof it === "function" || typeof it === "symbol") throw new TypeError("functions and symbols can't be cloned");
      if (typeof it !== "object" || it === null) return it;
      if (seen.has(it)) return seen.get(it);
      const keep = (copy) => (seen.set(it, copy), copy);
      if (it instanceof Date) return keep(new Date(it));
      if (it instanceof ArrayBuffer) return keep(it.slice(0));
      if (ArrayBuffer.isView(it)) return keep(it.slice());
      if (it instanceof Map) { const copy = keep(new Map()); it.forEach((v, k) => copy.set(clone(k), clone(v))); return copy; }
      if (it instanceof Set) { const copy = keep(new Set()); it.forEach((v) => copy.add(clone(v))); return copy; }
      const copy = keep(Array.isArray(it) ? [] : it instanceof Error ? Object.create(Object.getPrototypeOf(it)) : {});
      for (const key of it instanceof Error ? ["message", "stack", "cause"] : Object.keys(it)) copy[key] = clone(it[key]);
      return copy;
    };
    return clone(value);
  });

  // ---- timers: on the script's clock, which stands still while `define` runs ------------------------------------------

  let timers = [];
  let last = 0;
  let reached = 0;
  const start = (run, delay, values, every) => {
    if (typeof run !== "function") throw new TypeError("a timer calls a function");
    delay = Math.min(Math.max(Number(delay) || 0, 0), 2 ** 31);
    const timer = { id: ++last, at: Math.max(host("now"), reached) + delay, run, values, every: every ? Math.max(delay, 1) : undefined };
    timers.push(timer);
    return timer.id;
  };
  const stop = (id) => { timers = timers.filter((timer) => timer.id !== id); };
  define("setTimeout", (run, delay, ...values) => start(run, delay, values, false));
  define("setInterval", (run, delay, ...values) => start(run, delay, values, true));
  define("setImmediate", (run, ...values) => start(run, 0, values, false));
  for (const name of ["clearTimeout", "clearInterval", "clearImmediate"]) define(name, stop);

  host("timers", () => {
    if (!timers.length) return false;
    const next = timers.reduce((first, timer) => (timer.at < first.at ? timer : first));
    const left = next.at - Math.max(host("now"), reached);
    if (left > 0) host("sleep", left);
    reached = Math.max(reached, next.at);
    if (next.every === undefined) stop(next.id);
    else next.at += next.every;
    next.run(...next.values);
    return true;
  });
}
