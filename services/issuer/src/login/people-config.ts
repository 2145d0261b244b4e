import { configError, type MemberReader } from "@redoubt/base";
import type { Certificate } from "@redoubt/evidence";
import { ORIGIN } from "@redoubt/presence";
import { readCertificates, readPasskeyPolicy } from "./passkeys/read-policy.ts";
import type { PasskeyPolicy } from "./passkeys/policy.ts";

export interface PeopleConfig {
  /** Origin of the sign-in pages: the only one at which passkeys are taken. */
  readonly loginOrigin: URL;
  /** `id` is the deployment's one RP ID: the origin's host, or a domain above it. `name` is shown by browsers. */
  readonly rp: { readonly id: string; readonly name: string };
  /** How many passkeys a person must have before anything is open. */
  readonly passkeysRequired: number;
  readonly policy: PasskeyPolicy;
  /** Absent where nothing is known of models but what the policy says. */
  readonly metadata?: PasskeyMetadataSource;
  /** The one origin at which people approve; absent in systems without such a page. */
  readonly presence?: string;
  readonly sessionSeconds: number;
  readonly refreshSeconds: number;
}

/** FIDO metadata from a file. */
export interface PasskeyMetadataSource {
  /** In this process's own folder, where alone it may read. */
  readonly file: string;
  readonly roots: readonly Certificate[];
  /** Whom the signing certificate is for: `mds.fidoalliance.org`. */
  readonly host: string;
}

const DAY = 86_400;
const MAX_REQUIRED = 4;

/** @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER` */
export function readPeople(reader: MemberReader): PeopleConfig {
  const loginOrigin = readOrigin(reader.string("loginOrigin", 253));
  const rp = readRelyingParty(reader.object("rp"), loginOrigin);
  const people: PeopleConfig = {
    loginOrigin,
    rp,
    passkeysRequired: reader.integer("passkeysRequired", 1, MAX_REQUIRED),
    policy: readPasskeyPolicy(reader.object("passkeys")),
    ...(reader.has("metadata") && { metadata: readMetadata(reader.object("metadata")) }),
    ...(reader.has("presence") && {
      presence: readPresence(reader.string("presence", 270, ORIGIN), loginOrigin),
    }),
    // THREAT-16: however often it is used, a sign-in ends.
    sessionSeconds: reader.integer("sessionSeconds", 300, 7 * DAY),
    refreshSeconds: reader.integer("refreshSeconds", 300, 90 * DAY),
  };
  reader.done();
  return people;
}

function readMetadata(reader: MemberReader): PasskeyMetadataSource {
  const source = {
    file: reader.string("file", 64, /^[A-Za-z0-9][A-Za-z0-9._-]*$/),
    roots: readCertificates(reader.string("roots", 65_536)),
    host: reader.string("host", 253, /^[a-z0-9.-]+$/),
  };
  reader.done();
  return source;
}

// WebAuthn §5.1.2: passkeys work on secure origins only, and never on an IP address.
function readOrigin(text: string): URL {
  const url = URL.parse(text);
  const isLocal = url?.protocol === "http:" && url.hostname === "localhost";
  if (url?.origin !== text || !(url.protocol === "https:" || isLocal) || isAddress(url.hostname))
    throw configError(
      "config: people.loginOrigin must be an https origin with a name (http on localhost only)",
    );
  return url;
}

// THREAT-20: a script of the sign-in pages could ask for an assertion and show something else.
function readPresence(origin: string, loginOrigin: URL): string {
  if (origin === loginOrigin.origin)
    throw configError("config: people.presence must be another origin than people.loginOrigin");
  return origin;
}

// WebAuthn §5.1.3: the RP ID is the effective domain or a registrable suffix of it. Passkeys are bound to it for ever.
function readRelyingParty(reader: MemberReader, { hostname }: URL): PeopleConfig["rp"] {
  const rp = { id: reader.string("id", 253), name: reader.string("name", 64) };
  reader.done();
  if (rp.id !== hostname && !(hostname.endsWith(`.${rp.id}`) && rp.id.includes(".")))
    throw configError("config: people.rp.id must be the login origin's host, or a domain above it");
  return rp;
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
}
