import { isIP } from "node:net";
import { ORIGIN as PRESENCE_ORIGIN } from "@redoubt/presence";
import { optionError } from "../command.ts";
import {
  issuerBelow,
  portsFrom,
  REALMS,
  tokenEndpoint,
  issuerTemplate,
  tokenEndpointBelow,
  type Ports,
  type Realm,
} from "../layout.ts";
import type { Addresses } from "../settings.ts";

export interface AddressOptions {
  /** `https://login.example.org/sso` for every realm, or `<realm>=<url>` once for each. */
  readonly issuer?: readonly string[] | undefined;
  readonly rpId?: string | undefined;
  /** Where people approve: an origin at which nothing else is. */
  readonly presenceOrigin?: string | undefined;
  /** First of the six ports on which we speak TLS ourselves; without it a proxy does. */
  readonly listenPort?: number | undefined;
}

/** WebAuthn §5.1.2: an IP address is no relying party. */
const LOCAL_RP = "localhost";

/** Addresses of a system that nobody but this machine can reach. */
export function loopbackAddresses(port: number): Addresses {
  const ports = portsFrom(port);
  const realm = (name: Realm) => ({
    issuer: issuerTemplate(name, ports.publisher),
    tokenEndpoint: tokenEndpoint(name, ports),
  });
  return {
    reports: `http://127.0.0.1:${ports.monitor}`,
    rpId: LOCAL_RP,
    presence: loopbackPresence(port),
    realms: { consumer: realm("consumer"), enterprise: realm("enterprise") },
  };
}

/** RP ID `localhost` covers every port, and each port is an origin. */
function loopbackPresence(port: number): string {
  return `http://${LOCAL_RP}:${portsFrom(port).presence}`;
}

/**
 * What the options say about where the world finds this system. Nothing of it can change later: issuers stand in every
 * key record, and people's keys work under one RP ID only.
 *
 * @throws ServiceError `ERR_OPTION`
 */
export function chooseAddresses(options: AddressOptions, port: number): Addresses {
  const { issuer = [], rpId: domain, presenceOrigin, listenPort } = options;
  if (issuer.length === 0) {
    if (domain !== undefined || presenceOrigin !== undefined || listenPort !== undefined)
      throw optionError("--rp-id, --presence-origin and --listen need --issuer");
    return loopbackAddresses(port);
  }
  const bases = readBases(issuer);
  const offsets = portsFrom(0);
  /** Behind a proxy everything has one origin; on its own each process has a port. */
  const place = (name: Realm, service: keyof Ports): string => {
    if (listenPort === undefined) return bases[name];
    const url = new URL(bases[name]);
    if (Number(url.port || "443") !== listenPort)
      throw optionError(`--issuer ${bases[name]} and --listen name different ports`);
    url.port = String(listenPort + offsets[service]);
    return url.href.replace(/\/$/, "");
  };
  const rpId = chooseRpId(bases, domain);
  const realm = (name: Realm) => ({
    issuer: issuerBelow(bases[name], name),
    tokenEndpoint: tokenEndpointBelow(place(name, `issuer-${name}`), name),
  });
  return {
    // A proxy takes this prefix away: what verifiers sign is the path at the monitor (docs/spec/reports.md §1).
    reports:
      listenPort === undefined
        ? `${bases.enterprise}/reports/`
        : `${new URL(place("enterprise", "monitor")).origin}/`,
    rpId,
    presence:
      choosePresence({ chosen: presenceOrigin, bases, rpId, listenPort }) ?? loopbackPresence(port),
    realms: { consumer: realm("consumer"), enterprise: realm("enterprise") },
  };
}

/** Hosts that the world connects to. */
export function hostsOf({ realms, presence, rpId }: Addresses): readonly string[] {
  const issuers = REALMS.map((realm) => hostOf(realms[realm].issuer));
  // Under this RP ID nobody elsewhere has a passkey, and the page is for this machine.
  const approvals = presence === undefined || rpId === LOCAL_RP ? [] : [hostOf(presence)];
  return [...new Set([...issuers, ...approvals])];
}

function hostOf(url: string): string {
  return new URL(url.replace("{tenantid}", "t")).hostname.replace(/^\[|\]$/g, "");
}

function readBases(texts: readonly string[]): Readonly<Record<Realm, string>> {
  const named = new Map<Realm, string>();
  for (const text of texts) {
    const realm = REALMS.find((name) => text.startsWith(`${name}=`));
    const base = readBase(realm === undefined ? text : text.slice(realm.length + 1));
    for (const name of realm === undefined ? REALMS : [realm]) {
      if (named.has(name)) throw optionError(`--issuer names realm ${name} twice`);
      named.set(name, base);
    }
  }
  const baseOf = (name: Realm): string => {
    const base = named.get(name);
    if (base === undefined)
      throw optionError(`--issuer is missing for realm ${name}: add ${name}=…`);
    return base;
  };
  return { consumer: baseOf("consumer"), enterprise: baseOf("enterprise") };
}

const SEGMENT = /^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$/;

/** The text is compared byte by byte by everybody who reads it in a token, so only its one spelling is taken. */
export function readBase(text: string): string {
  const base = text.replace(/\/$/, "");
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (!url || url.href.replace(/\/$/, "") !== base || /[?#@]/.test(base))
    throw optionError(
      `--issuer ${JSON.stringify(text)}: expected a URL such as https://login.example.org`,
    );
  const isLocal = url.hostname === "localhost" || url.hostname === "127.0.0.1";
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLocal))
    throw optionError(`--issuer ${text}: expected https; plain http is for loopback only`);
  const segments = url.pathname.split("/").slice(1);
  if (url.pathname !== "/" && !segments.every((segment) => SEGMENT.test(segment)))
    throw optionError(`--issuer ${text}: its path may hold letters, digits and . _ ~ - only`);
  return base;
}

function chooseRpId(bases: Readonly<Record<Realm, string>>, chosen: string | undefined): string {
  const hosts = [...new Set(REALMS.map((realm) => hostOf(bases[realm])))];
  const [host = ""] = hosts;
  if (chosen === undefined && hosts.length > 1)
    throw optionError(
      `--rp-id is missing: name the domain that ${hosts.join(" and ")} have in common`,
    );
  const rpId = chosen ?? (isIP(host) === 0 ? host : LOCAL_RP);
  if (rpId === LOCAL_RP && chosen === undefined) return rpId;
  const isDomain = /^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$/.test(rpId) || rpId === LOCAL_RP;
  const outside = hosts.find((one) => one !== rpId && !one.endsWith(`.${rpId}`));
  if (!isDomain || outside !== undefined)
    throw optionError(
      `--rp-id ${rpId}: expected a domain name that is, or ends, the host of each issuer (${hosts.join(", ")})`,
    );
  return rpId;
}

interface PresenceChoices {
  readonly chosen: string | undefined;
  readonly bases: Readonly<Record<Realm, string>>;
  readonly rpId: string;
  readonly listenPort: number | undefined;
}

/**
 * THREAT-20: a script on the page where people sign in must not reach the page where they approve. Paths do not keep them
 * apart, origins do.
 *
 * @returns undefined where people have passkeys on this machine alone
 */
function choosePresence(choices: PresenceChoices): string | undefined {
  const { chosen, bases, rpId, listenPort } = choices;
  const port = listenPort === undefined ? undefined : portsFrom(listenPort).presence;
  if (chosen === undefined && rpId === LOCAL_RP) return undefined;
  // A port of its own is an origin of its own.
  const origin = chosen ?? (port === undefined ? undefined : atPort(bases.enterprise, port));
  if (origin === undefined)
    throw optionError(
      `--presence-origin is missing: people approve at an address of its own, which a script on the page where they sign in cannot reach; name one whose requests the proxy sends to the ceremony page, such as https://approve.${rpId}`,
    );
  const problem = presenceProblem(origin, { ...choices, port });
  if (problem !== undefined) throw optionError(`--presence-origin ${origin}: ${problem}`);
  return origin;
}

function presenceProblem(
  origin: string,
  { bases, rpId, port }: PresenceChoices & { readonly port: number | undefined },
): string | undefined {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (!url || url.origin !== origin || !PRESENCE_ORIGIN.test(origin))
    return "expected a scheme, a host and nothing else, such as https://approve.example.org";
  if (url.hostname !== rpId && !url.hostname.endsWith(`.${rpId}`))
    return `expected a host that is, or ends with, the RP ID ${rpId}`;
  if (REALMS.some((realm) => new URL(bases[realm]).origin === origin))
    return "people sign in there; expected another host or port";
  if (port !== undefined && Number(url.port || "443") !== port)
    return `expected port ${port}, the sixth of --listen`;
  return undefined;
}

function atPort(base: string, port: number): string {
  const url = new URL(base);
  url.port = String(port);
  return url.origin;
}
