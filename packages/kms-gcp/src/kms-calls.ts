import { errorLine } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { CallGate, type GateParts, type Repeat } from "@redoubt/custody/call-gate";
import { judgeFailure, UNAVAILABLE } from "./failure.ts";
import {
  isRecord,
  type AuthClient,
  type GoogleSdk,
  type KmsClient,
  type KmsMethod,
} from "./sdk.ts";
import type { CheckedSettings } from "./settings.ts";

/**
 * Whoever gives out tokens is away, or has none for us: only the first passes, and nobody says which it is. The gRPC
 * library keeps code and message of this error, and nothing else.
 */
class NoToken extends Error {
  readonly code = UNAVAILABLE;
}

/** A page of 100 keys with every label that Google allows stays far below. */
const MAX_ANSWER_BYTES = 1 << 20;
const SCOPE = "https://www.googleapis.com/auth/cloudkms";
const UNIVERSE = "googleapis.com";

type Answer = Readonly<Record<string, unknown>>;

/** The service behind a gate: bounded, retried, and every failure coded. */
export class KmsCalls {
  readonly #client: KmsClient;
  readonly #channel: { close(): void };
  readonly #gate: CallGate;
  readonly #timeoutMs: number;

  private constructor(
    client: KmsClient,
    channel: { close(): void },
    gate: CallGate,
    timeoutMs: number,
  ) {
    this.#client = client;
    this.#channel = channel;
    this.#gate = gate;
    this.#timeoutMs = timeoutMs;
  }

  static async open(
    sdk: GoogleSdk,
    settings: CheckedSettings,
    parts: GateParts,
    authClient?: AuthClient,
  ): Promise<KmsCalls> {
    const client = new sdk.KeyManagementServiceClient(clientOptions(sdk, settings, authClient));
    // NOTE: a method of the SDK called before this has resolved rethrows its failure where nobody can catch it.
    const channel = await client.initialize().catch((cause: unknown) => {
      throw new KeyError("ERR_KEY_CUSTODY", "Google Cloud KMS client does not start", { cause });
    });
    const gate = new CallGate(settings.limits, parts);
    return new KmsCalls(client, channel, gate, settings.limits.attemptTimeoutMs);
  }

  /**
   * One call; `read` takes the answer apart, and what it throws is judged like a failure of the call.
   *
   * @throws KeyError
   */
  async call<T>(
    method: KmsMethod,
    request: object,
    read: (answer: Answer) => T,
    repeat: Repeat = "always",
  ): Promise<T> {
    const send = async (signal: AbortSignal): Promise<T> => {
      // The SDK's own retries are off: they would multiply with those of the gate.
      const options = { timeout: this.#timeoutMs, retry: null, autoPaginate: false, signal };
      const answer = await this.#client[method](request, options);
      return read(readAnswer(method, answer));
    };
    return this.#gate.run({ repeat, judge: judgeFailure, request: send });
  }

  // The SDK's own `close` first opens three clients of other services, to close them; none of them is in use.
  close(): void {
    this.#gate.close();
    this.#channel.close();
  }
}

// Lists resolve to [items, next request, answer], all others to [answer, …].
function readAnswer(method: KmsMethod, resolved: unknown): Answer {
  const at = method === "listCryptoKeys" || method === "listCryptoKeyVersions" ? 2 : 0;
  const answer: unknown = Array.isArray(resolved) ? resolved[at] : undefined;
  if (!isRecord(answer)) throw unexpected(`${method} answered nothing`);
  return answer;
}

export function unexpected(message: string): KeyError {
  return new KeyError("ERR_KEY_CUSTODY", `Unexpected answer of custody: ${message}`);
}

function clientOptions(
  sdk: GoogleSdk,
  settings: CheckedSettings,
  authClient: AuthClient | undefined,
): object {
  const { host, port, isPlain } = settings;
  return {
    apiEndpoint: host,
    port,
    // Said aloud, or the SDK asks the metadata server for it before the first call.
    universeDomain: UNIVERSE,
    fallback: false,
    sslCreds: isPlain
      ? sdk.gax.grpc.credentials.createInsecure()
      : secureCredentials(sdk, settings, authClient),
    "grpc.max_receive_message_length": MAX_ANSWER_BYTES,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    ...(isPlain ? { "grpc.enable_http_proxy": 0 } : {}),
  };
}

// A token is fetched when a call needs one, so that a failure to get one is a failure of that call.
function secureCredentials(
  { gax }: GoogleSdk,
  { project, roots }: CheckedSettings,
  authClient: AuthClient | undefined,
): unknown {
  const { credentials } = gax.grpc;
  // NOTE: without a project the library starts the `gcloud` command to find one.
  const auth = new gax.GoogleAuth({
    scopes: [SCOPE],
    projectId: project,
    universeDomain: UNIVERSE,
  });
  const getRequestHeaders = async (url?: string): Promise<object> => {
    try {
      const client = authClient ?? (await auth.getClient());
      return Object.fromEntries(await client.getRequestHeaders(url));
    } catch (cause) {
      throw new NoToken(`No token: ${errorLine(cause)}`, { cause });
    }
  };
  return credentials.combineChannelCredentials(
    credentials.createSsl(roots),
    credentials.createFromGoogleCredential({ getRequestHeaders }),
  );
}
