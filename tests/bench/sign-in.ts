import { execFileSync } from "node:child_process";
import {
  authorizationCodeGrant,
  getDPoPHandle,
  randomDPoPKeyPair,
  type Configuration,
} from "openid-client";
import { PeopleSystem, signIn, type TestPerson } from "../people/people-fixture.ts";
import { cpuSeconds, totalCpuSeconds } from "./cpu.ts";
import { median, percentile, round, type Measure } from "./measure.ts";

const ROUNDS = 3;
const ROUND_SECONDS = 5;
const WARM_SECONDS = 3;
const PER_SECOND = 50;
const PEOPLE = 50;
const ISSUER = "issuer-enterprise";

/** With consent: the person is asked, because the client asks for that. Without: she gave it before. */
const KINDS = { "with-consent": { prompt: "login consent" }, "consent-given": { prompt: "login" } };
type Kind = keyof typeof KINDS;

interface Round {
  readonly latenciesMs: readonly number[];
  readonly cpuMs: number;
  readonly issuerMs: number;
  readonly perSecond: number;
}

/**
 * Sign-ins from the request to the token: authorisation, the page, the passkey's answer, the code, its token. Begun 50
 * a second, whether or not the ones before have ended, so that waiting counts.
 */
export async function* benchSignIn(): AsyncGenerator<Measure> {
  await using people = await PeopleSystem.start();
  const config = await people.configure();
  const issuer = await people.system.pidOf(ISSUER);
  execFileSync("/usr/bin/taskset", ["-a", "-c", "-p", "0", String(issuer)], { stdio: "ignore" });
  const persons: TestPerson[] = [];
  for (let made = 0; made < PEOPLE; made += 1) persons.push(await people.person(2, "zero"));
  const bench: Bench = { people, config, persons, issuer, pids: await people.system.pids() };
  await runRound(bench, "with-consent", WARM_SECONDS);
  const rounds: Record<Kind, Round[]> = { "with-consent": [], "consent-given": [] };
  for (let count = 0; count < ROUNDS; count += 1)
    for (const kind of ["with-consent", "consent-given"] as const)
      rounds[kind].push(await runRound(bench, kind, ROUND_SECONDS));
  for (const kind of ["with-consent", "consent-given"] as const)
    yield* measuresOf(kind, rounds[kind]);
}

function* measuresOf(kind: Kind, rounds: readonly Round[]): Generator<Measure> {
  const figures: readonly (readonly [string, string, (of: Round) => number])[] = [
    ["done", "sign-ins a second, of 50 that were begun", ({ perSecond }) => perSecond],
    ["p50", "ms", ({ latenciesMs }) => percentile(latenciesMs, 0.5)],
    ["p99", "ms", ({ latenciesMs }) => percentile(latenciesMs, 0.99)],
    ["cpu", "ms of all processes for each", ({ cpuMs }) => cpuMs],
    ["cpu/issuer", "ms of the issuer for each", ({ issuerMs }) => issuerMs],
  ];
  for (const [name, unit, of] of figures)
    yield { name: `sign-in/${kind}/${name}`, value: round(median(rounds.map(of))), unit };
}

interface Bench {
  readonly people: PeopleSystem;
  readonly config: Configuration;
  readonly persons: readonly TestPerson[];
  readonly issuer: number;
  readonly pids: readonly number[];
}

async function runRound(bench: Bench, kind: Kind, seconds: number): Promise<Round> {
  const { pids, issuer, persons } = bench;
  const before = [totalCpuSeconds(pids), cpuSeconds(issuer)] as const;
  const start = performance.now();
  const count = PER_SECOND * seconds;
  const latenciesMs = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const dueMs = (index * 1000) / PER_SECOND;
      await pause(dueMs - (performance.now() - start));
      const person = persons[index % persons.length];
      if (!person) throw new RangeError("Nobody to sign in");
      await once(bench, { ...person, browser: bench.people.browser() }, kind);
      // From when it was due, not from when this process came to it.
      return performance.now() - start - dueMs;
    }),
  );
  const tookMs = performance.now() - start;
  // What a token causes after it left belongs to it.
  await pause(700);
  return {
    latenciesMs,
    perSecond: (count * 1000) / tookMs,
    cpuMs: ((totalCpuSeconds(pids) - before[0]) * 1000) / count,
    issuerMs: ((cpuSeconds(issuer) - before[1]) * 1000) / count,
  };
}

async function once({ people, config }: Bench, person: TestPerson, kind: Kind): Promise<void> {
  const { url, verifier, state } = await people.request(config, KINDS[kind]);
  const { location } = await signIn(person, url);
  const dpop = getDPoPHandle(config, await randomDPoPKeyPair());
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const { id_token: token } = await authorizationCodeGrant(
    config,
    new URL(location),
    checks,
    {},
    { DPoP: dpop },
  );
  if (token === undefined) throw new Error("A sign-in without a token");
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
