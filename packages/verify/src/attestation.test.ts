import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AttestationOptions, AttestedKey } from "./attestation-options.ts";
import { fromDiscovery } from "./discovery.ts";
import type { DiscoveryOptions } from "./discovery-options.ts";
import { mint, NOW, TENANT_A, TENANT_B, type Claims } from "./testing/fixture.ts";
import { IssuerSite } from "./testing/issuer-site.ts";
import { testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";
import { until, withSite, type SiteAnswer } from "./testing/site.ts";
import { TrustError } from "./trust-error.ts";
import type { Verifier } from "./verifier.ts";

const untyped: { fromDiscovery(options: unknown): unknown } = { fromDiscovery };
const FOLDER = "/.well-known/attestation/";
const GOOD = "measured";
const NOT_YET = "Not loaded yet";

type Documents = Record<string, SiteAnswer | Promise<SiteAnswer>>;

/** An issuer whose keys name documents. A key without one in `documents` answers 404. */
class AttestedSite extends IssuerSite {
  readonly documents: Documents = {};
  /** Paths below the folder, in the order in which they were asked for. */
  readonly asked: string[] = [];
  readonly checked: (readonly [AttestedKey, string])[] = [];

  readonly check: AttestationOptions["check"] = (key, document) => {
    const text = Buffer.from(document).toString("utf8");
    this.checked.push([key, text]);
    if (text.trim() !== GOOD) throw Object.assign(new Error("Not measured"), { code: "ERR_IMAGE" });
  };

  /** The JWK of a test key, with its statement. */
  attested(name: string, document?: SiteAnswer | Promise<SiteAnswer>): Claims {
    const { jwk, record } = this.record(name);
    if (document) this.documents[record.kid] = document;
    return { ...jwk, "x-attestation": this.statement(record.kid) };
  }

  statement(kid: string): Claims {
    return { uri: `${this.site.origin}${FOLDER}${kid}.json`, hardware: "none" };
  }

  serve(keys: readonly Claims[]): void {
    this.publish(keys);
    const { handler } = this.site;
    this.site.handler = (request) => {
      if (!request.path.startsWith(FOLDER)) return handler(request);
      const kid = request.path.slice(FOLDER.length, -".json".length);
      this.asked.push(kid);
      return this.documents[kid] ?? { status: 404 };
    };
  }

  open(
    attestation: Partial<AttestationOptions> = {},
    changes: Partial<DiscoveryOptions> = {},
  ): Promise<Verifier> {
    const { check } = this;
    return this.verifier({
      attestation: { mode: "require", check, ...attestation },
      ...changes,
    });
  }

  token(name: string): string {
    return mint({
      key: name,
      header: { kid: this.record(name).record.kid },
      payload: this.payload,
    });
  }

  kid(name: string): string {
    return this.record(name).record.kid;
  }

  async refresh(): Promise<void> {
    this.time.fire();
    await until(() => this.time.isPlanned);
  }
}

function withIssuer(run: (issuer: AttestedSite) => Promise<void>): Promise<void> {
  return withSite((site) => run(new AttestedSite(site)));
}

function kidsOf(verifier: Verifier): readonly string[] {
  return verifier.status().keys.map(({ kid }) => kid);
}

function refusalsOf(verifier: Verifier): readonly (readonly [string | null, string, string])[] {
  const refusals = verifier.status().sources[0]?.refusals ?? [];
  return refusals.map(({ kid, code, reason }) => [kid, code, reason]);
}

/** An answer that comes when the test says so. */
function later(): { readonly answer: Promise<SiteAnswer>; release(body?: string): void } {
  let resolve: ((answer: SiteAnswer) => void) | undefined;
  const answer = new Promise<SiteAnswer>((settle) => {
    resolve = settle;
  });
  return {
    answer,
    release: (body = GOOD) => {
      resolve?.({ body });
    },
  };
}

function requireOwn({ kid }: AttestedKey, document: Uint8Array): void {
  if (Buffer.from(document).toString("utf8") !== kid) throw new Error("Of another key");
}

function noCheck(): void {
  // Nothing is asked.
}

const [ONE, TWO, THREE, FOUR] = ["ent-es256", "ent-ed25519", "next-ed25519", "oidc-es256"] as const;

describe("attestation: require", () => {
  it("a key counts once its document satisfied the check", () =>
    withIssuer(async (issuer) => {
      issuer.serve([
        issuer.attested(ONE, { body: GOOD }),
        issuer.attested(TWO, { body: "another image" }),
        issuer.record(THREE).jwk,
      ]);
      const verifier = await issuer.open();
      assert.equal(verifier.verify(issuer.token(ONE)).key.kid, issuer.kid(ONE));
      for (const name of [TWO, THREE])
        assertRefused(verifier, issuer.token(name), "ERR_JWKS_NO_MATCHING_KEY");
      assert.deepEqual(refusalsOf(verifier), [
        [issuer.kid(TWO), "ERR_ATTESTATION_REFUSED", "ERR_IMAGE: Not measured"],
        [issuer.kid(THREE), "ERR_ATTESTATION_MISSING", "The key names no document"],
      ]);
      const [source] = verifier.status().sources;
      assert.deepEqual(source?.attestation, { attestedKeys: 1, unattested: [] });
      assert.deepEqual([source?.untrustedKeys, source?.lastError], [2, null]);
      const key = { kid: issuer.kid(ONE), realm: "enterprise", issuer: issuer.template };
      assert.deepEqual(issuer.checked[0], [key, GOOD]);
      verifier.close();
    }));

  it("does not start without a key that counts, and says why", () =>
    withIssuer(async (issuer) => {
      const sets = [
        [issuer.record(ONE).jwk, "ERR_ATTESTATION_MISSING"],
        [issuer.attested(ONE), "ERR_ATTESTATION_FETCH"],
        [issuer.attested(TWO, { body: "other" }), "ERR_ATTESTATION_REFUSED"],
      ] as const;
      for (const [jwk, code] of sets) {
        issuer.serve([jwk]);
        await assert.rejects(issuer.open(), (error) => {
          assert.equal(error instanceof TrustError ? error.code : error, code);
          return true;
        });
        assert.equal(issuer.time.isPlanned, false);
      }
    }));

  it("P7, THREAT-09: asks the key's own address at the key set's origin, and no other", () =>
    withSite((other) =>
      withIssuer(async (issuer) => {
        const { origin } = issuer.site;
        const [kid, good] = [issuer.kid(TWO), issuer.statement(issuer.kid(TWO))];
        const path = `${FOLDER}${kid}.json`;
        const { uri } = good;
        const statements: readonly unknown[] = [
          ...[
            `${other.origin}${path}`,
            `https://attacker.example${path}`,
            `${origin.replace("//", "//user@")}${path}`,
            `${origin}${path}?x`,
            `${origin}${path}#x`,
            `${origin}/x/..${path}`,
            `${origin}/${path}`,
            `${origin}${FOLDER}${issuer.kid(ONE)}.json`,
            `${origin}${FOLDER}../keys`,
            `${origin.replace("http", "HTTP")}${path}`,
            ` ${origin}${path}`,
            path,
            `file://${path}`,
            "",
            [uri],
            null,
          ].map((address) => ({ ...good, uri: address })),
          ...["", "None", "a".repeat(33), "-", "x none", "none x", 1, null].map((hardware) => {
            return { ...good, hardware };
          }),
          { uri },
          { hardware: "none" },
          { ...good, sha256: "x" },
          uri,
          [good],
          null,
          true,
        ];
        issuer.documents[kid] = { body: GOOD };
        const attested = issuer.attested(ONE, { body: GOOD });
        const { jwk } = issuer.record(TWO);
        issuer.serve([attested]);
        const verifier = await issuer.open();
        for (const statement of statements) {
          issuer.serve([attested, { ...jwk, "x-attestation": statement }]);
          await verifier.reload();
          assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE)], JSON.stringify(statement));
          const reason = `x-attestation: expected hardware and the uri ${String(uri)}`;
          assert.deepEqual(refusalsOf(verifier), [[kid, "ERR_ATTESTATION_REFUSED", reason]]);
        }
        assert.deepEqual([issuer.asked, other.requests.length], [[issuer.kid(ONE)], 0]);
        for (const hardware of ["none", "sev-snp", "a".repeat(32)])
          issuer.serve([attested, { ...jwk, "x-attestation": { ...good, hardware } }]);
        await verifier.reload();
        assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE), kid]);
        verifier.close();
      }),
    ));

  it("THREAT-27: loads no document for a key that does not count anyway", () =>
    withIssuer(async (issuer) => {
      const foreign = issuer.record("attacker-es256", {}, "ring-consumer");
      issuer.documents[foreign.record.kid] = { body: GOOD };
      const statement = issuer.statement(foreign.record.kid);
      issuer.serve([
        issuer.attested(ONE, { body: GOOD }),
        { ...foreign.jwk, "x-attestation": statement },
      ]);
      const verifier = await issuer.open();
      assert.deepEqual([kidsOf(verifier), issuer.asked], [[issuer.kid(ONE)], [issuer.kid(ONE)]]);
      assert.equal(refusalsOf(verifier)[0]?.[1], "ERR_KEY_UNTRUSTED");
      verifier.close();
    }));

  it("a document of another key is put to the check with the key that it was served for", () =>
    withIssuer(async (issuer) => {
      const body = issuer.kid(ONE);
      issuer.serve([issuer.attested(ONE, { body }), issuer.attested(TWO, { body })]);
      const verifier = await issuer.open({ check: requireOwn });
      assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE)]);
      assert.deepEqual(refusalsOf(verifier), [
        [issuer.kid(TWO), "ERR_ATTESTATION_REFUSED", "Of another key"],
      ]);
      verifier.close();
    }));

  it("THREAT-26: a document that is too large, moved, absent or slow keeps no other key away", () =>
    withIssuer(async (issuer) => {
      const padding = " ".repeat(4_194_304 - GOOD.length);
      const good = issuer.attested(ONE, { body: GOOD + padding });
      const slow = later();
      const bad: readonly (SiteAnswer | Promise<SiteAnswer>)[] = [
        { body: `${GOOD} ${padding}` },
        { status: 302, headers: { location: `${FOLDER}${issuer.kid(ONE)}.json` } },
        { status: 404, body: GOOD },
        { status: 500, body: GOOD },
        slow.answer,
      ];
      for (const document of bad) {
        issuer.serve([issuer.attested(TWO, document), good]);
        const verifier = await issuer.open({ timeoutMs: 1000 });
        assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE)]);
        const [refusal] = refusalsOf(verifier);
        assert.deepEqual(refusal?.slice(0, 2), [issuer.kid(TWO), "ERR_ATTESTATION_FETCH"]);
        assert.match(refusal?.[2] ?? "", /^ERR_DISCOVERY_FETCH: Discovery: .*\/attestation\//);
        assert.equal(verifier.status().sources[0]?.failures, 0);
        verifier.close();
      }
      slow.release();
    }));

  it("a check may throw whatever it likes, or never end", () =>
    withIssuer(async (issuer) => {
      issuer.serve([issuer.attested(TWO, { body: GOOD }), issuer.attested(ONE, { body: GOOD })]);
      const answers: readonly (readonly [() => unknown, string])[] = [
        [() => Promise.reject(new RangeError("Too old")), "Too old"],
        [() => Promise.reject(new Error(`a\nb\u001B${"x".repeat(999)}`)), `a?b?${"x".repeat(252)}`],
        [() => Promise.reject(Object.assign(new Error("m"), { code: 7 })), "m"],
        [() => Promise.resolve(false), "The check answered false"],
        [() => false, "The check answered false"],
        [() => new Promise(() => undefined), "The check took longer than 500 ms"],
        // oxlint-disable-next-line prefer-promise-reject-errors -- what a check must not do
        [() => Promise.reject(Object.create(null)), "The check threw what is no Error"],
        [() => JSON.parse("{"), "Expected property name"],
      ];
      const untypedChecks: { open(options: unknown): Promise<Verifier> } = issuer;
      for (const [answer, reason] of answers) {
        const check = ({ kid }: AttestedKey): unknown =>
          kid === issuer.kid(TWO) ? answer() : undefined;
        const verifier = await untypedChecks.open({ check, timeoutMs: 500 });
        assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE)], reason);
        const [[kid, code, text] = [null, "", ""]] = refusalsOf(verifier);
        assert.deepEqual([kid, code], [issuer.kid(TWO), "ERR_ATTESTATION_REFUSED"]);
        assert.ok(text.startsWith(reason), text);
        assert.ok(text.length <= 256);
        verifier.close();
      }
    }));

  it("asks once for each key, and forgets it with the key", () =>
    withIssuer(async (issuer) => {
      const keys = [issuer.attested(ONE, { body: GOOD }), issuer.attested(TWO, { body: GOOD })];
      issuer.serve(keys);
      const verifier = await issuer.open();
      const asked = [...issuer.asked];
      assert.deepEqual(asked, [issuer.kid(ONE), issuer.kid(TWO)]);
      const token = issuer.token(ONE);
      verifier.verify(token);
      // Nothing of this matters any more: neither the document nor what the key set says of it.
      delete issuer.documents[issuer.kid(ONE)];
      issuer.serve([issuer.record(ONE).jwk, { ...keys[1], "x-attestation": "x" }]);
      await issuer.refresh();
      await verifier.reload();
      assert.equal(verifier.verify(token).cached, true);
      assert.deepEqual([issuer.asked, kidsOf(verifier)], [asked, asked]);
      issuer.serve(keys.slice(1));
      await verifier.reload();
      issuer.serve(keys);
      await verifier.reload();
      assert.deepEqual(issuer.asked, [...asked, issuer.kid(ONE)]);
      assertRefused(verifier, token, "ERR_JWKS_NO_MATCHING_KEY");
      verifier.close();
    }));

  it("tries again at the next load what failed, and what had no document", () =>
    withIssuer(async (issuer) => {
      const keys = [issuer.attested(ONE, { body: GOOD }), issuer.attested(TWO, { body: "old" })];
      issuer.serve([...keys, issuer.attested(THREE), issuer.record(FOUR).jwk]);
      const verifier = await issuer.open();
      const token = issuer.token(ONE);
      verifier.verify(token);
      assert.equal(verifier.status().sources[0]?.attestation?.attestedKeys, 1);
      issuer.documents[issuer.kid(TWO)] = { body: GOOD };
      issuer.serve([
        ...keys,
        issuer.attested(THREE, { body: GOOD }),
        issuer.attested(FOUR, { body: GOOD }),
      ]);
      await issuer.refresh();
      await until(() => verifier.status().sources[0]?.attestation?.attestedKeys === 4);
      assert.deepEqual(refusalsOf(verifier), []);
      for (const name of [ONE, TWO, THREE]) verifier.verify(issuer.token(name));
      verifier.close();
    }));
});

describe("attestation: what is slow", () => {
  it("holds up neither a load, nor another key, nor the keys that are known", () =>
    withIssuer(async (issuer) => {
      const slow = later();
      const known = issuer.attested(ONE, { body: GOOD });
      issuer.serve([known]);
      const verifier = await issuer.open({ timeoutMs: 60_000 }, { maxStaleSeconds: 1000 });
      issuer.serve([
        issuer.attested(TWO, slow.answer),
        known,
        issuer.attested(THREE, { body: GOOD }),
      ]);
      issuer.now = NOW + 900;
      // The load itself ends, so that the next one is planned and the known key is fresh.
      await issuer.refresh();
      await until(() => kidsOf(verifier).includes(issuer.kid(THREE)));
      issuer.now = NOW + 1800;
      verifier.verify(mint({ ...tokenAt(issuer, NOW + 1800) }));
      assert.deepEqual(refusalsOf(verifier), [[issuer.kid(TWO), "ERR_ATTESTATION_FETCH", NOT_YET]]);
      // It is under way, so that another load does not ask for it again.
      await issuer.refresh();
      slow.release();
      await until(() => kidsOf(verifier).length === 3);
      assert.equal(issuer.asked.filter((kid) => kid === issuer.kid(TWO)).length, 1);
      verifier.close();
    }));

  it("an issuer whose documents never come does not hold up another", () =>
    withIssuer((issuer) =>
      withIssuer(async (second) => {
        const slow = later();
        issuer.serve([issuer.attested(ONE, { body: GOOD })]);
        second.serve([ONE, TWO, THREE].map((name) => second.attested(name, slow.answer)));
        const issuers = [second.ringIssuer, issuer.ringIssuer];
        const verifier = await issuer.open({ timeoutMs: 500 }, { issuers });
        verifier.verify(issuer.token(ONE));
        assert.deepEqual(
          [verifier.isReady(issuer.issuer), verifier.isReady(second.issuer)],
          [true, false],
        );
        const source = verifier.status().sources[0];
        assert.deepEqual([source?.lastError, source?.failures], ["ERR_ATTESTATION_FETCH", 0]);
        assertRefused(verifier, second.token(ONE), "ERR_ISSUER_NOT_READY");
        verifier.close();
        slow.release();
      }),
    ));

  it("loads two documents at a time, and a key that was never tried before those that failed", () =>
    withIssuer(async (issuer) => {
      const slow = [later(), later(), later()] as const;
      const known = issuer.attested(ONE, { body: GOOD });
      issuer.serve([known]);
      const verifier = await issuer.open({ timeoutMs: 60_000 });
      issuer.asked.length = 0;
      const names = [TWO, THREE, FOUR] as const;
      const kids = names.map((name) => issuer.kid(name));
      const keys = names.map((name, i) => issuer.attested(name, slow[i]?.answer));
      issuer.serve([known, ...keys]);
      await issuer.refresh();
      await until(() => issuer.asked.length === 2);
      let turns = 0;
      await until(() => (turns += 1) > 20);
      assert.deepEqual(issuer.asked, kids.slice(0, 2));
      for (const one of slow) one.release("old");
      await until(() =>
        refusalsOf(verifier).every(([, code]) => code === "ERR_ATTESTATION_REFUSED"),
      );
      issuer.asked.length = 0;
      // The one that was tried last goes last, and the new one first.
      issuer.serve([
        known,
        keys[2] ?? {},
        keys[0] ?? {},
        keys[1] ?? {},
        issuer.attested("con-es256"),
      ]);
      await verifier.reload();
      assert.equal(issuer.asked[0], issuer.kid("con-es256"));
      assert.equal(issuer.asked[3], kids[2]);
      verifier.close();
    }));

  it("P7: keys that are attested outlive an outage of the issuer until they are stale", () =>
    withIssuer(async (issuer) => {
      issuer.serve([issuer.attested(ONE, { body: GOOD })]);
      const verifier = await issuer.open({}, { refreshSeconds: 100, maxStaleSeconds: 1000 });
      const token = issuer.token(ONE);
      verifier.verify(token);
      issuer.site.serve({});
      issuer.now = NOW + 999;
      await issuer.refresh();
      const [source] = verifier.status().sources;
      assert.deepEqual([source?.lastError, source?.failures], ["ERR_DISCOVERY_FETCH", 1]);
      assert.equal(source?.attestation?.attestedKeys, 1);
      assert.equal(verifier.isReady(), true);
      issuer.now = NOW + 1000;
      assert.equal(verifier.isReady(), false);
      verifier.close();
    }));

  it("close() ends what is under way, and nothing counts because of it", () =>
    withIssuer(async (issuer) => {
      const slow = later();
      const known = issuer.attested(ONE, { body: GOOD });
      issuer.serve([known]);
      let settle: () => void = assert.fail;
      const check = ({ kid }: AttestedKey): Promise<void> | undefined => {
        if (kid !== issuer.kid(THREE)) return undefined;
        return new Promise((resolve) => {
          settle = resolve;
        });
      };
      const verifier = await issuer.verifier({
        attestation: { mode: "require", check: async (key) => check(key), timeoutMs: 60_000 },
      });
      issuer.serve([
        known,
        issuer.attested(TWO, slow.answer),
        issuer.attested(THREE, { body: GOOD }),
        issuer.attested(FOUR, { body: GOOD }),
      ]);
      const reloaded = verifier.reload();
      await until(() => settle !== assert.fail);
      verifier.close();
      await reloaded;
      settle();
      slow.release();
      let turns = 0;
      await until(() => (turns += 1) > 20);
      assert.deepEqual([kidsOf(verifier), issuer.asked.length], [[issuer.kid(ONE)], 3]);
      assert.deepEqual(new Set(refusalsOf(verifier).map(([, , text]) => text)), new Set([NOT_YET]));
    }));
});

function tokenAt(issuer: AttestedSite, iat: number): Parameters<typeof mint>[0] {
  return { header: { kid: issuer.kid(ONE) }, payload: { ...issuer.payload, iat, exp: iat + 60 } };
}

describe("attestation: prefer", () => {
  it("a key counts unless its document was refused, and the status says which are unattested", () =>
    withIssuer(async (issuer) => {
      issuer.serve([
        issuer.attested(ONE, { body: GOOD }),
        issuer.attested(TWO, { body: "another image" }),
        issuer.record(THREE).jwk,
        issuer.attested(FOUR),
      ]);
      const verifier = await issuer.open({ mode: "prefer" });
      const [one, two, three, four] = [ONE, TWO, THREE, FOUR].map((name) => issuer.kid(name));
      assert.deepEqual(kidsOf(verifier), [one, three, four]);
      assert.deepEqual(refusalsOf(verifier), [
        [two, "ERR_ATTESTATION_REFUSED", "ERR_IMAGE: Not measured"],
      ]);
      const { attestedKeys, unattested } = verifier.status().sources[0]?.attestation ?? {};
      assert.equal(attestedKeys, 1);
      assert.deepEqual(
        unattested?.map(({ kid, code }) => [kid, code]),
        [
          [three, "ERR_ATTESTATION_MISSING"],
          [four, "ERR_ATTESTATION_FETCH"],
        ],
      );
      verifier.close();
    }));

  it("says why a key was refused last", () =>
    withIssuer(async (issuer) => {
      issuer.serve([issuer.attested(ONE, { body: "first" }), issuer.record(TWO).jwk]);
      const check: AttestationOptions["check"] = (_, document) => {
        throw new Error(`Not of ${Buffer.from(document).toString("utf8")} ${issuer.asked.length}`);
      };
      const verifier = await issuer.open({ mode: "prefer", check });
      assert.equal(refusalsOf(verifier)[0]?.[2], "Not of first 1");
      issuer.documents[issuer.kid(ONE)] = { body: "second" };
      await verifier.reload();
      assert.equal(refusalsOf(verifier)[0]?.[2], "Not of second 2");
      verifier.close();
    }));

  it("a key that was refused does not count because its document or its statement went away", () =>
    withIssuer(async (issuer) => {
      const refused = issuer.attested(TWO, { body: "another image" });
      const good = issuer.attested(ONE, { body: GOOD });
      issuer.serve([good, refused]);
      const verifier = await issuer.open({ mode: "prefer" });
      const expected = [[issuer.kid(TWO), "ERR_ATTESTATION_REFUSED", "ERR_IMAGE: Not measured"]];
      delete issuer.documents[issuer.kid(TWO)];
      await verifier.reload();
      assert.deepEqual(refusalsOf(verifier), expected);
      issuer.serve([good, issuer.record(TWO).jwk]);
      await verifier.reload();
      assert.deepEqual(refusalsOf(verifier), expected);
      issuer.serve([good, issuer.attested(TWO, { body: GOOD })]);
      await verifier.reload();
      assert.deepEqual([refusalsOf(verifier), kidsOf(verifier).length], [[], 2]);
      verifier.close();
    }));

  it("leaves issuers without a ring as they are, beside those that have one", () =>
    withIssuer((issuer) =>
      withIssuer(async (second) => {
        const { alg, publicJwk } = testKey(TWO);
        const bare = { ...publicJwk, alg, kid: "bare", issuer: second.template };
        second.serve([{ ...bare, "x-attestation": "x" }]);
        issuer.serve([issuer.attested(ONE, { body: GOOD })]);
        const declared = {
          issuer: second.issuer,
          realm: "enterprise",
          ring: null,
          tenants: { ids: [TENANT_A, TENANT_B].toSorted() },
          audiences: "any",
          maxLifetimeSeconds: 3600,
        } as const;
        const issuers = [issuer.ringIssuer, declared];
        const verifier = await issuer.open({ mode: "prefer" }, { issuers });
        assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE), "bare"]);
        assert.equal(verifier.status().sources[1]?.attestation, null);
        verifier.close();
      }),
    ));
});

describe("attestation: off", () => {
  it("is the default: statements are not read and nothing is loaded", () =>
    withIssuer(async (issuer) => {
      const { jwk } = issuer.record(TWO);
      issuer.serve([issuer.attested(ONE), { ...jwk, "x-attestation": ["x"] }]);
      for (const options of [{}, { attestation: "off" }] as const) {
        const verifier = await issuer.verifier(options);
        assert.deepEqual(kidsOf(verifier), [issuer.kid(ONE), issuer.kid(TWO)]);
        assert.deepEqual([issuer.asked, refusalsOf(verifier)], [[], []]);
        assert.equal(verifier.status().sources[0]?.attestation, null);
        verifier.close();
      }
    }));

  it("refuses options that say something else", () => {
    const ring = { issuer: "https://id.example", realm: "enterprise", ring: "A".repeat(43) };
    const profiled = { issuer: "https://other.example", profile: "rfc9068" };
    const check = noCheck;
    const open = (attestation: unknown, issuers: unknown = [ring]): unknown =>
      untyped.fromDiscovery({ issuers, attestation });
    for (const timeoutMs of [100, 60_000, undefined]) open({ mode: "require", check, timeoutMs });
    open({ mode: "prefer", check }, [ring, profiled]);
    for (const wrong of [
      "require",
      null,
      {},
      { mode: "off", check },
      { mode: "require" },
      { mode: "require", check: "check" },
      { mode: "prefer", check: {} },
      { mode: "require", check, max: 1 },
      { mode: "require", check, timeoutMs: 99 },
      { mode: "require", check, timeoutMs: 60_001 },
    ])
      assert.throws(() => open(wrong), /^TypeError: attestation/, JSON.stringify(wrong));
    // The kid of a key without a record is what its server says, and so is the document about that kid.
    for (const issuers of [[profiled], [ring, profiled]])
      assert.throws(
        () => open({ mode: "require", check }, issuers),
        /^TypeError: attestation: .* ring/,
      );
  });
});
