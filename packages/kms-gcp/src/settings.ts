import { KeyError } from "@redoubt/keys";
import { DEFAULT_LIMITS, type CallLimits } from "@redoubt/custody/call-gate";

export interface GoogleKmsSettings {
  /** `projects/…/locations/…/keyRings/…`, in a location that has HSMs. */
  readonly keyRing: string;
  /** Whose keys these are: written on each key as a label; only keys that bear it are seen, used or ended. */
  readonly ring: string;
  /** Keys that live in software. They cannot be exported either, but no HSM holds them: not for production. */
  readonly unsafeSoftwareKeys?: boolean;
  /** A private address of the service, `host` or `host:port`; always TLS. */
  readonly endpoint?: string;
  /** The only certificate authorities that are believed, as PEM. */
  readonly roots?: string;
  /** A fake of the service on this machine: 127.0.0.1 without TLS, and never with credentials. */
  readonly unsafeLoopbackPort?: number;
  readonly limits?: Partial<CallLimits>;
}

export interface CheckedSettings {
  readonly project: string;
  readonly keyRing: string;
  readonly ring: string;
  readonly protectionLevel: "HSM" | "SOFTWARE";
  readonly host: string;
  readonly port: number;
  readonly isPlain: boolean;
  readonly roots: Buffer | undefined;
  readonly limits: CallLimits;
}

const KEY_RING =
  /^projects\/[a-z][a-z0-9.:-]{1,99}\/locations\/[a-z0-9-]{1,63}\/keyRings\/[A-Za-z0-9_-]{1,63}$/;
// A name of the ring begins each key's id (63 characters at most) and is a label's value.
const RING = /^[a-z][a-z0-9-]{0,28}$/;
const ENDPOINT = /^([a-z0-9](?:[a-z0-9.-]{0,252}))(?::([1-9][0-9]{0,4}))?$/;
const DEFAULT_ENDPOINT = "cloudkms.googleapis.com";

/** @throws KeyError `ERR_KEY_CUSTODY` naming every setting that is wrong */
export function checkSettings(settings: GoogleKmsSettings): CheckedSettings {
  const { keyRing, ring, unsafeLoopbackPort } = settings;
  const [, host = "", port = "443"] = ENDPOINT.exec(settings.endpoint ?? DEFAULT_ENDPOINT) ?? [];
  const limits = { ...DEFAULT_LIMITS, ...settings.limits };
  const problems = [
    ...(KEY_RING.test(keyRing) ? [] : ["keyRing is not projects/…/locations/…/keyRings/…"]),
    ...(RING.test(ring) ? [] : ["ring is not 1 to 29 of a-z, 0-9 and -"]),
    ...(isPort(Number(port)) && host !== "" ? [] : ["endpoint is not a host, or host:port"]),
    ...(unsafeLoopbackPort === undefined || isPort(unsafeLoopbackPort)
      ? []
      : ["unsafeLoopbackPort is not a port"]),
    ...Object.entries(limits)
      .filter(([, limit]) => !Number.isSafeInteger(limit) || limit < 1)
      .map(([name]) => `limits.${name} is not a whole number of at least 1`),
  ];
  if (problems.length > 0)
    throw new KeyError("ERR_KEY_CUSTODY", `Google Cloud KMS settings: ${problems.join("; ")}`);
  return {
    project: keyRing.split("/", 2)[1] ?? "",
    keyRing,
    ring,
    protectionLevel: settings.unsafeSoftwareKeys === true ? "SOFTWARE" : "HSM",
    host: unsafeLoopbackPort === undefined ? host : "127.0.0.1",
    port: unsafeLoopbackPort ?? Number(port),
    isPlain: unsafeLoopbackPort !== undefined,
    roots: settings.roots === undefined ? undefined : Buffer.from(settings.roots),
    limits,
  };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
