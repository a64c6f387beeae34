// URL and URLSearchParams, for the addresses that build scripts have: those of the web and files. Names of hosts are ASCII.
() => {
  "use strict";
  const PORTS = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
  const escape = (text, keep) => text.replace(/%[0-9a-f]{2}|[^]/giu, (it) => it.length === 3 && it[0] === "%" ? it : keep.test(it) ? it : encodeURIComponent(it).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`));
  const PATH = /[\w\-.~!$&'()*+,;=:@/\[\]|^%]/;
  const QUERY = /[\w\-.~!$&()*+,;=:@/?\[\]|^`{}\\%]/;
  const USER = /[\w\-.~!$&'()*+,%]/;

  const form = (text) => encodeURIComponent(text).replace(/%20/g, "+").replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const unform = (text) => {
    const spaced = text.replace(/\+/g, " ");
    try { return decodeURIComponent(spaced); } catch { return spaced; }
  };

  class URLSearchParams {
    #pairs = [];
    #changed;
    constructor(init = "", changed = () => {}) {
      if (typeof init === "string") {
        for (const part of init.replace(/^\?/, "").split("&")) {
          if (!part) continue;
          const at = part.indexOf("=");
          this.#pairs.push(at < 0 ? [unform(part), ""] : [unform(part.slice(0, at)), unform(part.slice(at + 1))]);
        }
      } else {
        for (const [name, value] of Symbol.iterator in init ? init : Object.entries(init)) this.#pairs.push([String(name), String(value)]);
      }
      this.#changed = changed;
    }
    get size() { return this.#pairs.length; }
    append(name, value) { this.#pairs.push([String(name), String(value)]); this.#changed(); }
    delete(name) { this.#pairs = this.#pairs.filter(([key]) => key !== name); this.#changed(); }
    get(name) { return this.#pairs.find(([key]) => key === name)?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([key]) => key === name).map(([, value]) => value); }
    has(name) { return this.#pairs.some(([key]) => key === name); }
    set(name, value) {
      const at = this.#pairs.findIndex(([key]) => key === name);
      if (at < 0) return this.append(name, value);
      this.#pairs = this.#pairs.filter(([key], index) => key !== name || index === at);
      this.#pairs[at][1] = String(value);
      this.#changed();
    }
    sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#changed(); }
    forEach(run) { for (const [name, value] of this.#pairs) run(value, name, this); }
    keys() { return this.#pairs.map(([name]) => name)[Symbol.iterator](); }
    values() { return this.#pairs.map(([, value]) => value)[Symbol.iterator](); }
    entries() { return this.#pairs.map((pair) => [...pair])[Symbol.iterator](); }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return this.#pairs.map(([name, value]) => `${form(name)}=${form(value)}`).join("&"); }
  }

  const dots = (path) => {
    const parts = [];
    const all = path.split("/");
    all.forEach((part, index) => {
      const last = index === all.length - 1;
      if (/^(\.|%2e)(\.|%2e)$/i.test(part)) { if (parts.length > 1) parts.pop(); if (last) parts.push(""); }
      else if (/^(\.|%2e)$/i.test(part)) { if (last) parts.push(""); }
      else parts.push(part);
    });
    return parts.join("/");
  };

  class URL {
    #it;
    #params;
    constructor(text, base) {
      text = String(text).trim().replace(/[\t\n\r]/g, "");
      const invalid = () => { throw new TypeError(`Invalid URL: ${text}`); };
      const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text);
      if (!scheme) {
        if (base === undefined) invalid();
        this.#it = { ...new URL(base).#it };
        if (this.#it.opaque) invalid();
        this.#relative(text);
        return;
      }
      const protocol = scheme[0].toLowerCase();
      let rest = text.slice(scheme[0].length);
      this.#it = { protocol, username: "", password: "", hostname: "", port: "", pathname: "", search: "", hash: "", opaque: false };
      if (protocol in PORTS) rest = `//${rest.replace(/^[/\\]*/, (slashes) => (protocol === "file:" && slashes.length > 2 ? "/" : ""))}`;
      if (!rest.startsWith("//")) {
        this.#it.opaque = !rest.startsWith("/");
        this.#behind(rest);
        return;
      }
      const end = rest.slice(2).search(protocol in PORTS ? /[/\\?#]/ : /[/?#]/);
      this.#authority(end < 0 ? rest.slice(2) : rest.slice(2, end + 2), invalid);
      this.#behind(end < 0 ? "" : rest.slice(end + 2));
    }
    #authority(text, invalid) {
      const at = text.lastIndexOf("@");
      if (at >= 0) {
        const [, user, password = ""] = /^([^:]*)(?::(.*))?$/.exec(text.slice(0, at));
        this.#it.username = escape(user, USER);
        this.#it.password = escape(password, USER);
      }
      const place = /^(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::(\d*))?$/i.exec(text.slice(at + 1)) ?? invalid();
      const hostname = place[1].toLowerCase();
      if (/[^\x21-\x7e]|[<>"^`{|}\\%#/?@]/.test(hostname)) invalid();
      if (!hostname && this.#it.protocol in PORTS && this.#it.protocol !== "file:") invalid();
      if (place[2] && Number(place[2]) > 65535) invalid();
      const port = place[2] ? String(Number(place[2])) : "";
      this.#it.hostname = hostname;
      this.#it.port = port === PORTS[this.#it.protocol] ? "" : port;
    }
    #behind(text) {
      const [, path, query, hash] = /^([^?#]*)(\?[^#]*)?(#[^]*)?$/.exec(text);
      this.#path(path);
      this.#it.search = query && query !== "?" ? escape(query, QUERY) : "";
      this.#it.hash = hash && hash !== "#" ? `#${escape(hash.slice(1), QUERY)}` : "";
    }
    #path(path) {
      const it = this.#it;
      if (it.opaque) { it.pathname = path; return; }
      if (it.protocol in PORTS) path = path.replace(/\\/g, "/");
      if (it.protocol in PORTS && !path.startsWith("/")) path = `/${path}`;
      it.pathname = escape(dots(path), PATH);
    }
    #relative(text) {
      const it = this.#it;
      const [, path, query, hash] = /^([^?#]*)(\?[^#]*)?(#[^]*)?$/.exec(text);
      if (path.startsWith("//")) { this.#it = { ...new URL(it.protocol + text).#it }; return; }
      if (path) this.#behind((path.startsWith("/") ? path : it.pathname.replace(/[^/]*$/, "") + path) + (query ?? "") + (hash ?? ""));
      else {
        if (query !== undefined) it.search = query === "?" ? "" : escape(query, QUERY);
        it.hash = hash && hash !== "#" ? `#${escape(hash.slice(1), QUERY)}` : "";
      }
    }
    get href() {
      const it = this.#it;
      const user = it.username || it.password ? `${it.username}${it.password ? `:${it.password}` : ""}@` : "";
      const slashes = it.protocol in PORTS || it.hostname ? "//" : "";
      return `${it.protocol}${slashes}${user}${this.host}${it.pathname}${it.search}${it.hash}`;
    }
    get origin() { return this.#it.protocol in PORTS && this.#it.protocol !== "file:" ? `${this.#it.protocol}//${this.host}` : "null"; }
    get protocol() { return this.#it.protocol; }
    get username() { return this.#it.username; }
    set username(value) { this.#it.username = escape(String(value), USER); }
    get password() { return this.#it.password; }
    set password(value) { this.#it.password = escape(String(value), USER); }
    get host() { return this.#it.hostname + (this.#it.port ? `:${this.#it.port}` : ""); }
    get hostname() { return this.#it.hostname; }
    set hostname(value) { this.#authority(`${value}${this.#it.port ? `:${this.#it.port}` : ""}`, () => { throw new TypeError(`Invalid host: ${value}`); }); }
    get port() { return this.#it.port; }
    set port(value) { this.#it.port = String(value) === PORTS[this.#it.protocol] ? "" : String(value); }
    get pathname() { return this.#it.pathname; }
    set pathname(value) { this.#path(String(value).replace(/[?#]/g, encodeURIComponent)); }
    get search() { return this.#it.search; }
    set search(value) {
      const query = String(value).replace(/^\?/, "");
      this.#it.search = query ? `?${escape(query, QUERY)}` : "";
      this.#params = undefined;
    }
    get hash() { return this.#it.hash; }
    set hash(value) {
      const hash = String(value).replace(/^#/, "");
      this.#it.hash = hash ? `#${escape(hash, QUERY)}` : "";
    }
    get searchParams() {
      const changed = () => { const query = String(this.#params); this.#it.search = query ? `?${query}` : ""; };
      return (this.#params ??= new URLSearchParams(this.#it.search, changed));
    }
    toString() { return this.href; }
    toJSON() { return this.href; }
    static canParse(text, base) {
      try { return !!new URL(text, base); } catch { return false; }
    }
  }
  for (const [name, value] of Object.entries({ URL, URLSearchParams })) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
