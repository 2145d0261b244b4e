import { configError, type MemberReader } from "@redoubt/base";

/** What a client has through which people sign in (OpenID Connect). Everything here is said by the operator. */
export type ClientLogin = {
  /** Where a browser is sent back to with a code; compared as text (RFC 9700 §4.1.3), ports on loopback apart. */
  readonly redirectUris: readonly string[];
  /** Where a browser may be sent after sign-out (OpenID Connect RP-Initiated Logout 1.0 §3). */
  readonly logoutUris: readonly string[];
  /** Who is told when a session ends (OpenID Connect Back-Channel Logout 1.0 §2.2); absent where nobody is. */
  readonly backchannelLogoutUri?: string;
};

const MAX_URIS = 16;
const MAX_URI = 512;
const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** @throws ServiceError `ERR_REQUEST_MEMBER`, `ERR_CONFIG` */
export function readClientLogin(reader: MemberReader): ClientLogin {
  const login = {
    redirectUris: readUris(reader, "redirectUris"),
    logoutUris: readUris(reader, "logoutUris"),
    ...(reader.has("backchannelLogoutUri") && {
      backchannelLogoutUri: checkLoginUri(reader.string("backchannelLogoutUri", MAX_URI)),
    }),
  };
  reader.done();
  if (login.redirectUris.length === 0) throw configError("login: redirectUris must name one");
  return login;
}

/**
 * An address of a relying party: https, or http on this machine (RFC 8252 §7.3). No fragment (RFC 6749 §3.1.2), no
 * credentials, no pattern, and written as browsers write it, so that there is one spelling.
 *
 * @throws ServiceError `ERR_CONFIG`
 */
export function checkLoginUri(text: string): string {
  const url = URL.parse(text);
  const isOurs =
    url !== null &&
    (url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname))) &&
    url.href === text &&
    url.username + url.password === "" &&
    !/[#*]/.test(text);
  if (!isOurs)
    throw configError(
      "login: an address must be https (http on loopback), without fragment, and in its normal form",
    );
  return text;
}

function readUris(reader: MemberReader, name: string): readonly string[] {
  const uris = reader.strings(name, MAX_URIS, MAX_URI).map(checkLoginUri);
  if (new Set(uris).size !== uris.length) throw configError(`login: ${name} must be distinct`);
  return uris;
}
