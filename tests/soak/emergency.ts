// THREAT-12: a real system and fifty verifiers, each a process that loads keys every 30 s (or as many as the first
// argument says, every so many seconds as the second). A key is tainted; when does the last one refuse it?
import { fork, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issuerTemplate, readDemo, readSettings } from "@redoubt/cli";
import { MemberReader } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { makeAgedFolder } from "../drills/aged-folder.ts";
import { askToken, longestGapMs, TokenFlow, unverifiedKidOf } from "../drills/token-flow.ts";
import { freeBasePort } from "../e2e/free-ports.ts";
import { startSystem, type System } from "../e2e/system.ts";

const REALM = "enterprise";
const MARGIN_SECONDS = 10;
/** Node processes that start at the same time: more would only wait for each other. */
const AT_ONCE = 5;
const CLIENTS = 2;

interface Seen {
  /** Milliseconds since the epoch. */
  readonly refusedAt: number;
  readonly acceptedAt: number;
}

/** A verifier process; answers come one at a time, in the order of the questions. */
class VerifierProcess implements Disposable {
  readonly #child: ChildProcess = fork(new URL("emergency-verifier.ts", import.meta.url), [], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });

  async ask(message: object, timeoutMs: number): Promise<MemberReader> {
    const { promise, resolve, reject } = Promise.withResolvers<MemberReader>();
    const timer = setTimeout(() => reject(new Error("a verifier does not answer")), timeoutMs);
    this.#child.once("exit", () => reject(new Error("a verifier ended")));
    this.#child.once("message", (value: unknown) => {
      resolve(new MemberReader(parseJsonObject(JSON.stringify(value)), "answer of a verifier"));
    });
    this.#child.send(JSON.stringify(message));
    const answer = await promise.finally(() => clearTimeout(timer));
    const error = answer.optionalString("error", 4096);
    if (error !== undefined) throw new Error(`a verifier failed: ${error}`);
    return answer;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

const [count, pollSeconds] = [Number(process.argv[2] ?? 50), Number(process.argv[3] ?? 30)];
const parent = await mkdtemp(join(tmpdir(), "redoubt-emergency-"));
try {
  const place = { folder: join(parent, "data"), port: await freeBasePort() };
  await makeAgedFolder(place);
  await using system = await startSystem(place);
  using verifiers = new DisposableStack();
  const figures = await emergency(system, verifiers);
  console.log(JSON.stringify(figures));
  const { verifiers: measured, refusedLastSeconds, acceptedLastSeconds, limitSeconds } = figures;
  const isOver = Math.max(refusedLastSeconds, acceptedLastSeconds) > limitSeconds;
  if (measured !== count || count === 0 || isOver) process.exitCode = 1;
} finally {
  await rm(parent, { recursive: true, force: true });
}

async function emergency(system: System, owned: DisposableStack) {
  const client = readDemo(system.folder).clients.find(({ realm }) => realm === REALM);
  if (!client) throw new Error("no demo client");
  const template = issuerTemplate(REALM, system.base);
  const open = {
    issuer: template.replace("{tenantid}", client.tenant),
    template,
    realm: REALM,
    ring: readSettings(system.folder).realms[REALM].ring,
    audience: client.audience,
    refreshSeconds: pollSeconds,
  };
  const { token: oldToken } = await askToken(system.base, client);
  const old = unverifiedKidOf(oldToken);
  const verifiers = await openVerifiers(owned, { open, token: oldToken });
  console.log(`${verifiers.length} verifiers take key ${old}`);

  const flow = new TokenFlow(() => askToken(system.base, client), CLIENTS);
  await flow.more(20);
  const startedAt = Date.now();
  const exposure = await taint(system, old);
  const taintedAt = Date.now();
  const { token: newToken } = await askToken(system.base, client);
  console.log(`key ${unverifiedKidOf(newToken)} signs after ${taintedAt - startedAt} ms`);
  const limitSeconds = pollSeconds + MARGIN_SECONDS;
  const seen = await Promise.all(
    verifiers.map((verifier) => watch(verifier, { old: oldToken, new: newToken }, limitSeconds)),
  );
  await flow.more(20);
  const answers = await flow.stop();
  const refused = seen.map(({ refusedAt }) => (refusedAt - startedAt) / 1000);
  const accepted = seen.map(({ acceptedAt }) => (acceptedAt - startedAt) / 1000);
  return {
    verifiers: seen.length,
    pollSeconds,
    limitSeconds,
    refusedLastSeconds: Math.max(...refused),
    refusedMedianSeconds: median(refused),
    acceptedLastSeconds: Math.max(...accepted),
    acceptedMedianSeconds: median(accepted),
    taintCommandMs: taintedAt - startedAt,
    longestTimeWithoutTokenMs: Math.round(longestGapMs(answers)),
    tokens: answers.filter(({ token }) => token !== "").length,
    refusals: answers.filter(({ token }) => token === "").length,
    /** What ordinary clients may do with a copy of the JWKS, and how long a session on a token may last. */
    ordinaryClients: exposure,
    push: "none",
  };
}

/** Each has loaded the keys, and takes the key that signs: otherwise its refusal would say nothing. */
async function openVerifiers(
  owned: DisposableStack,
  message: { readonly open: object; readonly token: string },
): Promise<readonly VerifierProcess[]> {
  const all: VerifierProcess[] = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - all.length) }, () =>
      owned.use(new VerifierProcess()),
    );
    const answers = await Promise.all(some.map((verifier) => verifier.ask(message, 60_000)));
    if (!answers.every((answer) => answer.boolean("opened")))
      throw new Error("a verifier refuses the key that signs");
    all.push(...some);
  }
  return all;
}

async function taint(system: System, kid: string) {
  const reason = ["--reason", "emergency exercise"];
  const ending = await system.redoubt(["--json", "keys", "taint", kid, "--yes", ...reason]);
  if (ending.code !== 0) throw new Error(`not tainted: ${ending.stderr}${ending.stdout}`);
  const answer = new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 8 }), "taint");
  const exposure = answer.object("exposure");
  return {
    jwksMaxAgeSeconds: exposure.integer("jwksMaxAgeSeconds", 0, 86_400),
    tokenLifetimeSeconds: exposure.integer("tokenLifetimeSeconds", 0, 86_400),
  };
}

async function watch(
  verifier: VerifierProcess,
  tokens: { readonly old: string; readonly new: string },
  limitSeconds: number,
): Promise<Seen> {
  const answer = await verifier.ask(tokens, 3000 * limitSeconds);
  return {
    refusedAt: answer.integer("refusedAt", 0, Number.MAX_SAFE_INTEGER),
    acceptedAt: answer.integer("acceptedAt", 0, Number.MAX_SAFE_INTEGER),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Infinity;
}
