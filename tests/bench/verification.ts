import {
  constants,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  type KeyObject,
} from "node:crypto";
import { createLocalJWKSet, jwtVerify } from "jose";
import { joseFromDer, publicJwk } from "@redoubt/keys";
import {
  createReportQueue,
  createVerifier,
  fromStaticKeys,
  importPublicJwk,
  parsePublicJwk,
  type Verifier,
  type VerifierOptions,
} from "@redoubt/verify";
import { cpuMicrosPerCall } from "./cpu.ts";
import { median, medianRatio, round, type Measure } from "./measure.ts";

// Many short slices in turn: a neighbour on the machine then disturbs all sides alike.
const WARM_UP = 3;
const PASSES = 9;
const SLICES = 10;
const CALLS = 100;
const ISSUER = "https://login.bench.example/{tenantid}/v2.0";
const TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE = "api://bench";

interface Algorithm {
  readonly alg: "RS256" | "PS256" | "ES256" | "Ed25519";
  readonly make: () => { publicKey: KeyObject; privateKey: KeyObject };
  /** The form of the public key that `crypto.verify` is fastest with; the key itself where absent. */
  readonly fastest?: (publicKey: KeyObject) => KeyObject;
  /** Makes the signature in the form that `crypto.verify` is fastest with. */
  readonly sign: (input: Buffer, key: KeyObject) => Buffer;
  /** Its form in a token; the same where absent. */
  readonly inToken?: (signature: Buffer) => Buffer;
  readonly hash: "sha256" | null;
}

const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } as const;

const ALGORITHMS: readonly Algorithm[] = [
  {
    alg: "RS256",
    make: rsa,
    sign: (input, key) => sign("sha256", input, key),
    hash: "sha256",
  },
  {
    alg: "PS256",
    make: rsa,
    fastest: (publicKey) => importPublicJwk(parsePublicJwk(publicJwk(publicKey), "PS256"), "PS256"),
    sign: (input, key) => sign("sha256", input, { key, ...PSS }),
    hash: "sha256",
  },
  {
    alg: "ES256",
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    sign: (input, key) => sign("sha256", input, key),
    inToken: joseFromDer,
    hash: "sha256",
  },
  {
    alg: "Ed25519",
    make: () => generateKeyPairSync("ed25519"),
    sign: (input, key) => sign(null, input, key),
    hash: null,
  },
];

interface Sample {
  readonly token: string;
  readonly input: Buffer;
  readonly bareSignature: Buffer;
}

type Side = (sample: Sample) => unknown;

interface Pass {
  readonly bare: number;
  readonly plain: number;
  readonly reported: number;
  readonly jose: number;
  readonly hot: number;
}

/**
 * Verification with every check on, against the bare signature check and against jose. Each slice gets tokens as
 * strings that nobody saw before; `reported` has the standard cache and a report queue, and sees no token twice.
 */
export async function* benchVerification(): AsyncGenerator<Measure> {
  for (const algorithm of ALGORITHMS) yield* benchAlgorithm(algorithm);
}

async function* benchAlgorithm(algorithm: Algorithm): AsyncGenerator<Measure> {
  const { alg, hash } = algorithm;
  const { publicKey, privateKey } = algorithm.make();
  const fastKey = algorithm.fastest?.(publicKey) ?? publicKey;
  const jwk = { ...publicJwk(publicKey), kid: "bench", alg, use: "sig" };
  const samples = Array.from({ length: SLICES * CALLS }, () => makeSample(algorithm, privateKey));
  const keySet = createLocalJWKSet({ keys: [jwk] });
  const plain = await openVerifier(jwk, { issuance: "off", cache: { max: 0 } });
  const cached = await openVerifier(jwk, { issuance: "off" });
  for (const { token } of samples) cached.verify(token);

  const passes: Pass[] = [];
  // The first passes are for the compiler, whose threads work on our bill.
  for (let i = 0; i < WARM_UP + PASSES; i += 1) {
    const reported = await openReported(jwk);
    const pass = await measurePass(samples, {
      bare: (s) => verify(hash, s.input, fastKey, s.bareSignature),
      plain: ({ token }) => plain.verify(token),
      reported: ({ token }) => reported.verify(token),
      jose: ({ token }) => jwtVerify(token, keySet, joseOptions(alg)),
      hot: ({ token }) => cached.verify(token),
    });
    reported.close();
    if (i >= WARM_UP) passes.push(pass);
  }
  yield* measures(alg, passes);
  plain.close();
  cached.close();
}

/**
 * Microseconds for one call, over all slices: collecting garbage falls into few of them and belongs to whoever made it.
 */
async function measurePass(
  samples: readonly Sample[],
  sides: Readonly<Record<keyof Pass, Side>>,
): Promise<Pass> {
  const pass = { bare: 0, plain: 0, reported: 0, jose: 0, hot: 0 };
  for (let at = 0; at < samples.length; at += CALLS) {
    const slice = samples.slice(at, at + CALLS);
    for (const name of ["bare", "plain", "reported", "jose", "hot"] as const)
      pass[name] += (await each(slice, sides[name])) / SLICES;
  }
  return pass;
}

function* measures(alg: string, passes: readonly Pass[]): Generator<Measure> {
  const unit = "µs CPU";
  const of = (name: keyof Pass) => passes.map((pass) => pass[name]);
  const ratio = (theirs: keyof Pass, ours: keyof Pass) => round(medianRatio(of(theirs), of(ours)));
  for (const [name, ours] of [
    [`verify/${alg}`, "plain"],
    [`verify/${alg}/reported`, "reported"],
  ] as const) {
    const value = round(median(of(ours)));
    yield { name, value, unit, against: "crypto.verify", ratio: ratio("bare", ours) };
    yield { name, value, unit, against: "jose 6", ratio: ratio("jose", ours) };
  }
  const limit = { against: "crypto.verify", ratio: ratio("bare", "jose") };
  yield { name: `jose/${alg}`, value: round(median(of("jose"))), unit, ...limit };
  yield { name: `verify/${alg}/cached`, value: round(median(of("hot"))), unit };
}

/** A fresh string for each call: a service never sees the same string object twice. */
function each(samples: readonly Sample[], run: Side): Promise<number> {
  const fresh = samples.map((s) => ({
    ...s,
    token: Buffer.from(s.token, "latin1").toString("latin1"),
  }));
  return cpuMicrosPerCall(fresh.length, (i) => {
    const sample = fresh[i];
    if (!sample) throw new RangeError("Sample is missing");
    const result = run(sample);
    if (result === false) throw new Error("Signature does not verify");
    return result;
  });
}

function joseOptions(alg: string) {
  return {
    audience: AUDIENCE,
    issuer: ISSUER.replace("{tenantid}", TENANT),
    algorithms: [alg],
    typ: "at+jwt",
  };
}

/** A verifier as services have it. Its queue has nobody to report to, so that items are kept and never sent. */
function openReported(jwk: Readonly<Record<string, unknown>>): Promise<Verifier> {
  const reporter = createReportQueue({
    url: "http://127.0.0.1:1",
    reporter: "bench",
    secret: randomBytes(32).toString("base64url"),
    ackKey: randomBytes(32).toString("base64url"),
    onAlarm: () => undefined,
    schedule: () => () => undefined,
  });
  return openVerifier(jwk, { issuance: { mode: "audit", reporter } });
}

function openVerifier(
  jwk: Readonly<Record<string, unknown>>,
  options: Pick<VerifierOptions, "issuance" | "cache">,
): Promise<Verifier> {
  const now = Math.floor(Date.now() / 1000);
  return createVerifier({
    trust: fromStaticKeys({
      keys: [
        {
          jwk,
          issuer: ISSUER,
          realm: "enterprise",
          tenants: { ids: [TENANT] },
          class: "at",
          audiences: "any",
          maxLifetimeSeconds: 3600,
          signFrom: now - 60,
          signUntil: now + 3600,
          verifyUntil: now + 7200,
        },
      ],
    }),
    audience: AUDIENCE,
    accept: [{ issuer: ISSUER, realm: "enterprise", tenants: [TENANT] }],
    ...options,
  });
}

/** The token that our issuer makes, with as many claims as a directory's have. */
function makeSample({ alg, sign: signWith, inToken }: Algorithm, privateKey: KeyObject): Sample {
  const iat = Math.floor(Date.now() / 1000);
  const payload = {
    iss: ISSUER.replace("{tenantid}", TENANT),
    sub: randomBytes(24).toString("base64url"),
    aud: AUDIENCE,
    exp: iat + 3600,
    nbf: iat,
    iat,
    jti: randomBytes(16).toString("base64url"),
    tid: TENANT,
    ver: "2.0",
    client_id: "0f4c1b4e-aaaa-4bbb-8ccc-1234567890ab",
    scope: "mail.read files.readwrite user.read",
    roles: ["task.reader", "task.writer"],
    sid: "00aa11bb-22cc-33dd-44ee-55ff66778899",
    name: "Example Person",
    preferred_username: "person@tenant.example",
    oid: "a1b2c3d4-0000-4111-8222-000000000001",
    amr: ["pwd", "mfa"],
    padding: randomBytes(300).toString("base64url"),
  };
  const text = `${encode({ alg, kid: "bench", typ: "at+jwt" })}.${encode(payload)}`;
  const input = Buffer.from(text, "latin1");
  const bareSignature = signWith(input, privateKey);
  const signature = inToken?.(bareSignature) ?? bareSignature;
  return { token: `${text}.${signature.toString("base64url")}`, input, bareSignature };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
