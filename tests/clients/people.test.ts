import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { CALLBACK, PeopleSystem, signIn, type TestPerson } from "../people/people-fixture.ts";
import { SoftBrowser } from "../people/soft-browser.ts";
import { goParty } from "./libraries.ts";

const party = await goParty();
const skip = "why" in party ? party.why : false;
const BYE = "http://127.0.0.1/bye";

describe("people sign in through a relying party in Go", () => {
  let people: PeopleSystem;
  let person: TestPerson;
  let secret = "";
  before(async () => {
    people = await PeopleSystem.start();
    person = await people.person();
    secret = await people.addClient("go", [`--logout-uri=${BYE}`]);
  });
  after(() => people[Symbol.asyncDispose]());

  function start(): ChildProcessWithoutNullStreams {
    assert.ok("program" in party);
    const { PATH = "", HOME = "" } = process.env;
    return spawn(party.program, {
      timeout: 30_000,
      env: {
        PATH,
        HOME,
        ISSUER: people.issuer(),
        CLIENT_ID: "go",
        CLIENT_SECRET: secret,
        REDIRECT_URI: CALLBACK,
        LOGOUT_URI: BYE,
      },
    });
  }

  /** To its end, with a browser in between that may change where the person comes back to. */
  async function run(
    whose: TestPerson,
    change: (location: URL) => URL = (location) => location,
  ): Promise<{ readonly code: unknown; readonly said: string; readonly complaint: string }> {
    const child = start();
    const errors: string[] = [];
    child.stderr.on("data", (chunk: Buffer) => errors.push(chunk.toString()));
    const closed = once(child, "close");
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value: address = "" } = await lines.next();
    const { location } = await signIn(whose, address);
    child.stdin.end(`${change(new URL(location)).href}\n`);
    const { value: said = "" } = await lines.next();
    const [code] = await closed;
    return { code, said, complaint: errors.join("") };
  }

  it("x/oauth2 and go-oidc: sign-in, userinfo, refresh, sign-out", { skip }, async () => {
    const here = { ...person, browser: new SoftBrowser() };
    const { code, said, complaint } = await run(here);
    assert.equal(code, 0, complaint);
    const { signOut, ...known }: Readonly<Record<string, unknown>> = Object(JSON.parse(said));
    assert.deepEqual(known, {
      sub: person.id,
      name: "Ada",
      acr: "urn:redoubt:acr:passkey-device",
      rotated: true,
      refreshed: person.id,
    });
    await here.browser.open(String(signOut));
    const { location } = await here.browser.submit("/sign-out/confirm", { logout: "yes" });
    assert.equal(location, BYE);
    await here.browser.open(`${people.login}/passkeys`);
    assert.match(here.browser.body, /data-passkey="get"/);
  });

  it(
    "x/oauth2 and go-oidc: a code that is not the person's, or another state",
    { skip },
    async () => {
      for (const [name, value, complaint] of [
        ["code", "somebody-else's", /invalid_grant/],
        ["state", "another", /state differs/],
      ] as const) {
        const ended = await run({ ...person, browser: new SoftBrowser() }, (location) => {
          location.searchParams.set(name, value);
          return location;
        });
        assert.equal(ended.code, 1);
        assert.match(ended.complaint, complaint);
      }
    },
  );
});
