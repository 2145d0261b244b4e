import type { SoftAuthenticator, SoftOverrides } from "@redoubt/testkit";

/** An answer as a browser sees it, before it goes on. */
export interface Seen {
  readonly url: string;
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
  /** Where it says to go. */
  readonly location: string | undefined;
}

const MAX_HOPS = 10;

/** One request as a client's server makes it: without cookies, from no page. */
export async function askAsClient(
  address: string,
  init: RequestInit = {},
  fetcher: typeof fetch = fetch,
): Promise<Seen> {
  // Sockets listen on the address; names are for browsers.
  const place = new URL(address.replace("//localhost:", "//127.0.0.1:"));
  const answer = await fetcher(place, { ...init, redirect: "manual" });
  const location = answer.headers.get("location");
  return {
    url: address,
    status: answer.status,
    body: await answer.text(),
    headers: answer.headers,
    location: location === null ? undefined : new URL(location, address).href,
  };
}

/** Cookies and redirects of a browser, without scripts; what a page's script would do, `usePasskey` does. */
export class SoftBrowser {
  /** RFC 6265 §5.3: one of each name and path. */
  readonly cookies: Map<
    string,
    { readonly name: string; readonly value: string; readonly path: string }
  >;
  readonly #fetch: typeof fetch;
  /** The page that is shown. */
  url = "";
  body = "";

  /** Tabs of one browser share its cookies. */
  constructor(
    options: { readonly fetch?: typeof fetch; readonly cookies?: SoftBrowser["cookies"] } = {},
  ) {
    this.#fetch = options.fetch ?? fetch;
    this.cookies = options.cookies ?? new Map();
  }

  /** Opens an address and follows redirects as long as they stay at this origin; the last answer is shown. */
  async open(address: string, init: RequestInit = {}): Promise<Seen> {
    let seen = await this.ask(address, init);
    for (let hop = 0; seen.location !== undefined && hop < MAX_HOPS; hop += 1) {
      if (new URL(seen.location).origin !== new URL(address).origin) return seen;
      // eslint-disable-next-line no-await-in-loop -- one redirect leads to the next
      seen = await this.ask(seen.location);
    }
    this.url = seen.url;
    this.body = seen.body;
    return seen;
  }

  /** One request and its answer. */
  async ask(address: string, init: RequestInit = {}): Promise<Seen> {
    const url = new URL(address);
    const headers = new Headers(init.headers);
    const cookie = this.#cookieFor(url);
    if (cookie !== "") headers.set("cookie", cookie);
    if (init.method === "POST" && !headers.has("origin")) headers.set("origin", url.origin);
    const seen = await askAsClient(address, { ...init, headers }, this.#fetch);
    for (const line of seen.headers.getSetCookie()) this.#keep(line);
    return seen;
  }

  /** Submits the form with this action, its hidden fields with it. */
  submit(action: string | RegExp, fields: Readonly<Record<string, string>> = {}): Promise<Seen> {
    for (const [whole, path = ""] of this.body.matchAll(
      /<form[^>]*action="([^"]*)"[^>]*>.*?<\/form>/gs,
    )) {
      if (!(typeof action === "string" ? path.endsWith(action) : action.test(path))) continue;
      const hidden = [...whole.matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(
        ([, name = "", value = ""]): [string, string] => [name, value],
      );
      const body = new URLSearchParams([...hidden, ...Object.entries(fields)]);
      return this.open(new URL(path, this.url).href, { method: "POST", body });
    }
    throw new Error(`No form ${String(action)} on ${this.url}: ${this.body}`);
  }

  /** Opens the link of a pass, `<page>#<pass>`, and spends the pass: then it may register passkeys. */
  async spendPass(link: string): Promise<Seen> {
    const [page = "", pass = ""] = link.split("#");
    await this.open(page);
    return this.submit("/register/pass", { pass });
  }

  /** Uses a passkey on the page as its script does, and goes where the answer says. */
  async usePasskey(
    key: SoftAuthenticator,
    { overrides, name = "" }: { readonly overrides?: SoftOverrides; readonly name?: string } = {},
  ): Promise<Seen> {
    const { kind, options, path } = this.ceremony();
    const origin = { origin: new URL(this.url).origin, ...(overrides && { overrides }) };
    const response =
      kind === "create" ? key.register(options, origin) : key.authenticate(options, origin);
    const seen = await this.post(path, kind === "create" ? { response, name } : { ...response });
    const said: unknown = JSON.parse(seen.body);
    const location = typeof said === "object" && said !== null && "location" in said;
    return location ? this.open(new URL(String(said.location), this.url).href) : seen;
  }

  post(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
    return this.ask(new URL(path, this.url).href, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  }

  /** What the page asks a passkey for: a new one (`create`) or a sign-in (`get`), and where the answer goes. */
  ceremony() {
    const button = /data-passkey="(\w+)"\s+data-options="([^"]*)"\s+data-answer="([^"]*)"/.exec(
      this.body,
    );
    const [, kind = "", options = "", path = ""] = button ?? [];
    if (!button) throw new Error(`No passkey is asked for on ${this.url}: ${this.body}`);
    return { kind, path, options: JSON.parse(unescapeHtml(options)) };
  }

  #cookieFor({ pathname }: URL): string {
    return [...this.cookies]
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([, { name, value }]) => `${name}=${value}`)
      .join("; ");
  }

  /** A cookie that no answer gave, for the whole host. */
  setCookie(name: string, value: string): void {
    this.#keep(`${name}=${value}; Path=/`);
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(/; ?/);
    const equals = pair.indexOf("=");
    const [name, value] = [pair.slice(0, equals), pair.slice(equals + 1)];
    const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? "/";
    const isGone =
      value === "" ||
      attributes.some((one) => /^(?:max-age=0$|expires=Thu, 01 Jan 1970)/i.test(one));
    const key = `${name} ${path}`;
    if (isGone) this.cookies.delete(key);
    else this.cookies.set(key, { name, value, path });
  }
}

function unescapeHtml(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
