import { isJsonObject, MemberReader, ServiceError, UUID } from "@redoubt/base";
import { parseJson, type JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "./command.ts";
import { readDemo, type Demo } from "./demo.ts";
import { atTenant, CONSUMER_TENANT, DEFAULT_REALM, onLoopback, type Realm } from "./layout.ts";
import { fetchBytes } from "./loopback.ts";
import { isListening, notRunning, openPlace } from "./running.ts";

export interface TokenOptions {
  readonly realm?: Realm;
  readonly tenant?: string;
  readonly client?: string;
  readonly secret?: string;
  readonly scope?: string;
  readonly resource?: string;
}

interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: string;
  readonly expires_in: number;
  readonly scope?: string;
}

/** The client that asks for a token, and its secret. */
interface Credential {
  readonly realm: Realm;
  readonly tenant: string;
  readonly client: string;
  readonly secret: string;
}

const MAX_ANSWER_BYTES = 64 * 1024;

/** Gets a token and prints it, alone. */
export async function token(
  { folder, terminal }: CommandContext,
  options: TokenOptions,
): Promise<number> {
  const { ports, settings } = openPlace(folder);
  const secret = options.secret ?? process.env["REDOUBT_CLIENT_SECRET"];
  const named = { ...options, ...(secret && { secret }) };
  const credential = chooseCredential(named, () => readDemo(folder));
  const port = ports[`issuer-${credential.realm}`];
  if (!(await isListening(port))) throw notRunning(folder);
  const { tokenEndpoint } = settings.realms[credential.realm];
  const url = onLoopback(atTenant(tokenEndpoint, credential.tenant), port);
  const answer = await requestToken(url, credential, options);
  terminal.result({ json: answer, text: answer.access_token });
  return EXIT.ok;
}

/** The demo client, unless another is named. */
export function chooseCredential(options: TokenOptions, demo: () => Demo): Credential {
  const { realm = DEFAULT_REALM, client, secret } = options;
  const tenant = options.tenant ?? (realm === "consumer" ? CONSUMER_TENANT : undefined);
  if (tenant !== undefined && !UUID.test(tenant))
    throw new ServiceError("ERR_OPTION", "--tenant must be a lower-case UUID");
  if (client === undefined) return demoCredential(demo(), realm, options.tenant);
  if (tenant === undefined)
    throw new ServiceError("ERR_OPTION", `--client ${client} needs --tenant as well`);
  if (secret === undefined || secret === "")
    throw new ServiceError(
      "ERR_OPTION",
      `--client ${client} needs --secret, or REDOUBT_CLIENT_SECRET, as well`,
    );
  return { realm, tenant, client, secret };
}

function demoCredential({ clients }: Demo, realm: Realm, tenant: string | undefined): Credential {
  const found = clients.find((c) => c.realm === realm);
  if (!found || (tenant !== undefined && tenant !== found.tenant))
    throw new ServiceError("ERR_OPTION", "No demo client is there: name one with --client");
  return found;
}

/** RFC 6749 §4.4 with the secret in the header (§2.3.1). */
export async function requestToken(
  url: string,
  { client, secret }: Credential,
  { scope, resource }: Pick<TokenOptions, "scope" | "resource">,
): Promise<TokenAnswer> {
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (scope !== undefined) form.set("scope", scope);
  if (resource !== undefined) form.set("resource", resource);
  // §2.3.1: name and secret are form-encoded before they are joined.
  const pair = `${encodeForm(client)}:${encodeForm(secret)}`;
  const authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
  const headers = { authorization, "content-type": "application/x-www-form-urlencoded" };
  const { status, body } = await fetchBytes(url, MAX_ANSWER_BYTES, {
    method: "POST",
    headers,
    body: form.toString(),
  });
  const answer = parseAnswer(body);
  if (status !== 200) throw refusal(status, answer);
  return readToken(answer);
}

function encodeForm(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}

function parseAnswer(body: Buffer): JsonObject {
  try {
    const value = parseJson(body);
    if (isJsonObject(value)) return value;
  } catch {
    // Told below: whatever it is, it is not an issuer's answer.
  }
  throw new ServiceError("ERR_TOKEN_ANSWER", "Issuer answered something that is not JSON");
}

function readToken(answer: JsonObject): TokenAnswer {
  const reader = new MemberReader(answer, "token answer");
  const scope = reader.optionalString("scope", 2048);
  return {
    access_token: reader.string("access_token", 16_384, /^[\w.-]+$/),
    token_type: reader.string("token_type", 32),
    expires_in: reader.integer("expires_in", 0, 86_400),
    ...(scope === undefined ? {} : { scope }),
  };
}

// RFC 6749 §5.2.
function refusal(status: number, answer: JsonObject): ServiceError {
  const { error, error_description: description } = answer;
  const code = typeof error === "string" ? error : `status ${status}`;
  const text = typeof description === "string" ? `: ${description}` : "";
  return new ServiceError("ERR_TOKEN_REFUSED", `Issuer refused: ${code}${text}`);
}
