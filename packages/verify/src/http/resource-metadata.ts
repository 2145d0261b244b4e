import { isScope } from "./scopes.ts";
import { refuseUnknownMembers } from "../option-reader.ts";

export interface ResourceOptions {
  /** The resource identifier: an https URL without query and fragment (RFC 9728 §1.2). Clients compare it by characters. */
  readonly resource: string;
  /** Issuer identifiers of the servers that make tokens for it. */
  readonly authorizationServers: readonly string[];
  readonly scopes?: readonly string[];
  /** For people; shown when they are asked for consent. */
  readonly name?: string;
  readonly documentation?: string;
}

/** Members of the document (RFC 9728 §2). */
export interface ResourceDocument {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly ["header"];
  readonly scopes_supported?: readonly string[];
  readonly resource_name?: string;
  readonly resource_documentation?: string;
}

/** The document and where it stands. */
export interface ProtectedResource {
  readonly document: ResourceDocument;
  /** Where clients look for it (RFC 9728 §3.1): an absolute path on the host of the resource. */
  readonly path: string;
  /** The same as a URL, for the challenge (RFC 9728 §5.1). */
  readonly url: string;
}

const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const NAMES = ["resource", "authorizationServers", "scopes", "name", "documentation"];

/**
 * Describes this service to clients that do not know it (RFC 9728).
 *
 * @throws TypeError for an unknown option, a URL that is not https (http is for loopback), or a scope that is none
 * @example
 * const resource = protectedResourceMetadata({
 *   resource: "https://api.example/orders",
 *   authorizationServers: ["https://id.example/t1"],
 *   scopes: ["orders.read"],
 * });
 * resource.path; // "/.well-known/oauth-protected-resource/orders"
 */
export function protectedResourceMetadata(options: ResourceOptions): ProtectedResource {
  refuseUnknownMembers(options, NAMES, "resource");
  const { resource, authorizationServers, scopes, name, documentation } = options;
  const { origin, pathname } = checkUrl("resource", resource);
  if (!Array.isArray(authorizationServers) || authorizationServers.length === 0)
    throw new TypeError("authorizationServers: expected at least one");
  for (const server of authorizationServers) checkUrl("authorizationServers", server);
  if (scopes !== undefined && !scopes.every(isScope)) throw new TypeError("scopes: not scopes");
  // RFC 9728 §3.1: the well-known part goes between host and path; a path of one slash is left out.
  const path = `${WELL_KNOWN}${pathname === "/" ? "" : pathname}`;
  const document = {
    resource,
    authorization_servers: [...authorizationServers],
    bearer_methods_supported: ["header"] as const,
    ...(scopes === undefined ? {} : { scopes_supported: [...scopes] }),
    ...(name === undefined ? {} : { resource_name: name }),
    ...(documentation === undefined ? {} : { resource_documentation: documentation }),
  };
  return { document, path, url: `${origin}${path}` };
}

/** RFC 9728 §3.3: the client compares characters, so a second spelling of the same URL would never match. */
function checkUrl(name: string, text: string): URL {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  const isLoopback = ["localhost", "127.0.0.1", "[::1]"].includes(url?.hostname ?? "");
  const isAllowed = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback);
  if (
    // mutate: such a text is not allowed below; the compiler wants to hear it.
    url === undefined ||
    !isAllowed ||
    /[?#@]/.test(text)
  )
    throw new TypeError(`${name}: expected an https URL without query, fragment and user`);
  if (url.href !== text && url.href !== `${text}/`)
    throw new TypeError(`${name}: not in normal form, expected ${url.href}`);
  return url;
}

/** The answer to GET and HEAD; public, and for scripts of any origin. */
export function metadataAnswer({ document }: ProtectedResource): {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  return {
    headers: {
      "content-type": "application/json",
      "cache-control": "public, max-age=300",
      "access-control-allow-origin": "*",
    },
    body: JSON.stringify(document),
  };
}
