import type { PeopleSystem } from "../people-fixture.ts";
import { rowOf } from "./aging.ts";
import type { Seen, SoftBrowser } from "../soft-browser.ts";

/** What was tried to get in by another way, and what it came to. */
export class Trials {
  readonly counts = new Map<string, number>();
  /** Those that gave something; none should be. */
  readonly completed: string[] = [];
  readonly #people: PeopleSystem;
  readonly #statuses = new Map<string, number>();

  constructor(people: PeopleSystem) {
    this.#people = people;
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Counts one answer, and keeps what it gave. */
  async note(kind: string, what: string, seen: Seen): Promise<void> {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const status = `${kind} ${seen.status}`;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    const given = givenBy(seen) ?? (await sessionGiven(this.#people, seen));
    if (given !== undefined) this.completed.push(`${kind}: ${what}: ${given}`);
    if (seen.status >= 500) this.completed.push(`${kind}: ${what}: status ${seen.status}`);
  }

  /** Whether a browser that went through trials is anybody's now. */
  async checkNobody(browser: SoftBrowser, what: string): Promise<void> {
    const people = this.#people;
    const own = await browser.ask(`${people.login}/passkeys`);
    if (!own.body.includes('data-passkey="get"')) this.completed.push(`${what}: /passkeys is open`);
    const { url } = await people.request(await people.configure(), { prompt: "none" });
    const { location = "" } = await browser.ask(url);
    if (!location.includes("error=login_required"))
      this.completed.push(`${what}: a session, ${location}`);
  }

  summary(): string {
    const lines = [...this.counts].map(([kind, count]) => {
      const statuses = [...this.#statuses].filter(([status]) => status.startsWith(`${kind} `));
      const said = statuses.map(([status, n]) => `${status.slice(kind.length + 1)}×${n}`);
      return `${kind}: ${count} (${said.join(", ")})`;
    });
    return `${this.total} tried, ${this.completed.length} completed; ${lines.join("; ")}`;
  }
}

const TOKENS = ["code", "access_token", "id_token", "refresh_token", "response", "token"];

/** The library gives cookies to nobody, too, against forgery of its forms; undefined for those. */
export async function sessionGiven(
  people: PeopleSystem,
  { headers }: Pick<Seen, "headers">,
): Promise<string | undefined> {
  for (const line of headers.getSetCookie()) {
    const [, secret] = /^session-[^=]+=([\w-]{10,})/.exec(line) ?? [];
    const row = secret === undefined ? undefined : await rowOf(people, "Session", secret);
    if (row?.payload["accountId"] !== undefined) return "a session of somebody";
  }
  return undefined;
}

/** Undefined where an answer opens nothing; of sessions, ask `sessionGiven`. */
export function givenBy({ location, body, headers }: Seen): string | undefined {
  const cookie = headers
    .getSetCookie()
    .find((line) => /^(?:__Host-)?(?:account|registration)-[^=]+=[\w-]{10}/.test(line));
  if (cookie !== undefined) return `cookie ${cookie.slice(0, 20)}`;
  const leads = location === undefined ? undefined : tokenIn(new URL(location));
  if (leads !== undefined) return leads;
  const said = jsonOf(body);
  const member = [...TOKENS, "request_uri", "sub", "active"].find((name) => said.has(name));
  // `code` of our own pages is the code of a refusal.
  if (member !== undefined && !String(said.get(member)).startsWith("ERR_")) return `body ${member}`;
  const next = said.get("location");
  return typeof next === "string" && !/\/(?:interaction\/[\w-]+|register)$/.test(next)
    ? `leads to ${next}`
    : undefined;
}

function tokenIn({ searchParams, hash, pathname }: URL): string | undefined {
  // A form at these two is asked for again as a link: what stands in it is what the caller sent.
  if (/\/(?:authorize|sign-out)$/.test(pathname)) return undefined;
  const parameters = [searchParams, new URLSearchParams(hash.slice(1))];
  const name = TOKENS.find((one) => parameters.some((all) => all.has(one)));
  if (name !== undefined) return `redirect with ${name}`;
  return /\/authorize\/[\w-]+$/.test(pathname) ? "sign-in goes on" : undefined;
}

function jsonOf(body: string): ReadonlyMap<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return new Map(Object.entries(Object(value)));
  } catch {
    return new Map();
  }
}
