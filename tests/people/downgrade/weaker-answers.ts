import { randomBytes } from "node:crypto";
import type { SoftAuthenticator, SoftOverrides } from "@redoubt/testkit";

/** What of a page's request an answer is made from. */
export interface Asked {
  readonly challenge: string;
}

export interface AnswerParts {
  readonly key: SoftAuthenticator;
  /** Of somebody else, registered at the same place. */
  readonly stranger: SoftAuthenticator;
  readonly origin: string;
  /** Challenges that were given out for something else, or are over; each is used once. */
  readonly otherChallenges: ReadonlyMap<string, () => Promise<string>>;
}

export interface WeakerAnswer {
  readonly name: string;
  readonly make: (asked: Asked) => Promise<unknown>;
}

/** What other ways in would ask for, were there any. */
export const OTHER_WAYS: Readonly<Record<string, string>> = {
  username: "ada@example.org",
  email: "ada@example.org",
  login: "ada@example.org",
  phone_number: "+491700000000",
  password: "correct horse",
  passwd: "correct horse",
  pin: "0000",
  otp: "123456",
  totp: "123456",
  code: "123456",
  token: "123456",
  recovery_code: "aaaa-bbbb",
  security_answer: "blue",
  remember: "true",
  verified: "true",
  acr: "urn:redoubt:acr:passkey-device",
  amr: "user",
  sub: "ada",
};

/** One thing wrong in each. */
const OVERRIDES: Readonly<Record<string, SoftOverrides>> = {
  "no user verification": { flags: { UV: false } },
  "no user presence": { flags: { UP: false } },
  "neither presence nor verification": { flags: { UP: false, UV: false } },
  "eligible for backup at once": { flags: { BE: true } },
  "backed up without being eligible": { flags: { BS: true } },
  "backed up at once": { flags: { BE: true, BS: true } },
  "one bit of the signature": { signature: "flip" },
  "no signature": { signature: new Uint8Array() },
  "a signature of zeros": { signature: new Uint8Array(70) },
  "a random signature": { signature: randomBytes(70) },
  "a counter that stands": { counter: 1 },
  "a counter of zero": { counter: 0 },
  "another ceremony": { type: "webauthn.create" },
  "a payment": { type: "payment.get" },
  "in a frame": { crossOrigin: true },
  "in a frame of somebody else": { crossOrigin: true, topOrigin: "https://evil.test" },
  "another RP ID": { rpIdHash: randomBytes(32) },
  "nobody's handle": { userHandle: "AAAA" },
  "no handle": { userHandle: null },
  "nobody's credential": { credentialId: "AAAA" },
  "a challenge of its own": { challenge: randomBytes(32).toString("base64url") },
  "no challenge": { challenge: "" },
  "a short challenge": { challenge: "AAAA" },
};

const ORIGINS: readonly string[] = [
  "http://localhost",
  "http://evil.test",
  "https://evil.test",
  "http://127.0.0.1",
  "http://login.localhost",
  "android:apk-key-hash:AAAA",
  "null",
  "",
];

const BODIES: Readonly<Record<string, unknown>> = {
  nothing: {},
  "a list": [],
  null: null,
  "other ways alone": OTHER_WAYS,
  "verified, it says": { verified: true, userVerified: true, id: "AAAA" },
};

/** Every answer that is less than a user-verified passkey of the person, for this page. */
export function weakerAnswers(parts: AnswerParts): readonly WeakerAnswer[] {
  const { key, stranger, origin, otherChallenges } = parts;
  const answer = (asked: Asked, overrides: SoftOverrides, by = key): object =>
    by.authenticate(asked, { origin, overrides });
  return [
    ...Object.entries(OVERRIDES).map(([name, overrides]) =>
      made(name, (asked) => answer(asked, overrides)),
    ),
    ...[...ORIGINS, origin.replace("http:", "https:"), `${origin}.evil.test`, `${origin}/`].map(
      (other) => made(`origin ${other}`, (asked) => answer(asked, { origin: other })),
    ),
    ...Object.entries(BODIES).map(([name, body]) => made(name, () => body)),
    made("somebody's key under the person's credential", (asked) =>
      answer(asked, { credentialId: key.credentialId }, stranger),
    ),
    made("the person's key under somebody's credential", (asked) =>
      answer(asked, { credentialId: stranger.credentialId }),
    ),
    made("unverified, with other ways beside it", (asked) => ({
      ...answer(asked, { flags: { UV: false } }),
      ...OTHER_WAYS,
    })),
    made("a registration", ({ challenge }) =>
      stranger.register(
        { challenge, user: { id: "AAAA" }, pubKeyCredParams: [{ alg: -7 }] },
        { origin },
      ),
    ),
    ...[...otherChallenges].map(([name, next]) => ({
      name: `an answer to ${name}`,
      make: async () => answer({ challenge: await next() }, {}),
    })),
  ];
}

function made(name: string, make: (asked: Asked) => unknown): WeakerAnswer {
  return { name, make: (asked) => Promise.resolve(make(asked)) };
}
