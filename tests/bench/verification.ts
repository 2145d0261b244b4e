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
  createVerifier,
  fromStaticKeys,
  importPublicJwk,
  parsePublicJwk,
  type Verifier,
} from "@redoubt/verify";
import { cpuMicrosPerCall } from "./cpu.ts";
import { median, medianRatio, round, type Measure } from "./measure.ts";

const ROUNDS = 7;
const CALLS = 1500;
const ISSUER = "https://login.bench.example/{tenantid}/v2.0";
const TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const AUDIENCE = "api://bench";

interface Algorithm {
  readonly alg: "RS256" | "PS256" | "ES256" | "Ed25519";
  readonly make: () => { publicKey: KeyObject; privateKey: KeyObject };
  /** The form of the public key that `bare` is fastest with; the key itself where absent. */
  readonly fastest?: (publicKey: KeyObject) => KeyObject;
  readonly sign: (input: Buffer, key: KeyObject) => Buffer;
  /** The cheapest correct call of the run-time for this algorithm: the limit. */
  readonly bare: (input: Buffer, key: KeyObject, signature: Buffer) => boolean;
}

const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } as const;
const derOf = new WeakMap<Buffer, Buffer>();

const ALGORITHMS: readonly Algorithm[] = [
  {
    alg: "RS256",
    make: rsa,
    sign: (input, key) => sign("sha256", input, key),
    bare: (input, key, signature) => verify("sha256", input, key, signature),
  },
  {
    alg: "PS256",
    make: rsa,
    fastest: (publicKey) => importPublicJwk(parsePublicJwk(publicJwk(publicKey), "PS256"), "PS256"),
    sign: (input, key) => sign("sha256", input, { key, ...PSS }),
    bare: (input, key, signature) => verify("sha256", input, key, signature),
  },
  {
    alg: "ES256",
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    sign: (input, key) => {
      const der = sign("sha256", input, key);
      const signature = joseFromDer(der);
      derOf.set(signature, der);
      return signature;
    },
    bare: (input, key, signature) =>
      verify("sha256", input, key, derOf.get(signature) ?? Buffer.alloc(0)),
  },
  {
    alg: "Ed25519",
    make: () => generateKeyPairSync("ed25519"),
    sign: (input, key) => sign(null, input, key),
    bare: (input, key, signature) => verify(null, input, key, signature),
  },
];

interface Sample {
  readonly token: string;
  readonly input: Buffer;
  readonly signature: Buffer;
}

/** Verification with every check on, against the bare signature check and against jose. */
export async function* benchVerification(): AsyncGenerator<Measure> {
  for (const algorithm of ALGORITHMS) yield* benchAlgorithm(algorithm);
}

async function* benchAlgorithm(algorithm: Algorithm): AsyncGenerator<Measure> {
  const { alg } = algorithm;
  const { publicKey, privateKey } = algorithm.make();
  const fastKey = algorithm.fastest?.(publicKey) ?? publicKey;
  const jwk = { ...publicJwk(publicKey), kid: "bench", alg, use: "sig" };
  const samples = Array.from({ length: CALLS }, () => makeSample(algorithm, privateKey));
  const cold = await openVerifier(jwk, 0);
  const cached = await openVerifier(jwk, CALLS);
  const keySet = createLocalJWKSet({ keys: [jwk] });
  for (const { token } of samples) cached.verify(token);

  const micros = { bare: [0], ours: [0], jose: [0], cached: [0] };
  for (const list of Object.values(micros)) list.length = 0;
  for (let i = 0; i < ROUNDS; i += 1) {
    micros.bare.push(await each(samples, (s) => algorithm.bare(s.input, fastKey, s.signature)));
    micros.ours.push(await each(samples, ({ token }) => cold.verify(token)));
    micros.jose.push(
      await each(samples, ({ token }) => jwtVerify(token, keySet, joseOptions(alg))),
    );
    micros.cached.push(await each(samples, ({ token }) => cached.verify(token)));
  }
  const value = round(median(micros.ours));
  const name = `verify/${alg}`;
  const unit = "µs CPU";
  const ratio = (theirs: readonly number[]) => round(medianRatio(theirs, micros.ours));
  yield { name, value, unit, against: "crypto.verify", ratio: ratio(micros.bare) };
  yield { name, value, unit, against: "jose 6", ratio: ratio(micros.jose) };
  yield { name: `${name}/cached`, value: round(median(micros.cached)), unit };
  cold.close();
  cached.close();
}

/** A fresh string for each call: a service never sees the same string object twice. */
function each(samples: readonly Sample[], run: (sample: Sample) => unknown): Promise<number> {
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

function openVerifier(jwk: Readonly<Record<string, unknown>>, max: number): Promise<Verifier> {
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
    issuance: "off",
    cache: { max },
  });
}

/** The token that our issuer makes, with as many claims as a directory's have. */
function makeSample({ alg, sign: signWith }: Algorithm, privateKey: KeyObject): Sample {
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
  const signature = signWith(input, privateKey);
  return { token: `${text}.${signature.toString("base64url")}`, input, signature };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
