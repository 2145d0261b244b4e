import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildEndSessionUrl,
  calculatePKCECodeChallenge,
  randomPKCECodeVerifier,
  type Configuration,
} from "openid-client";

/** An application at another origin, http://127.0.0.1:<port>: `/` signs in, `/out` signs out. One person at a time. */
export class RelyingParty implements AsyncDisposable {
  readonly origin: string;
  /** Set before somebody comes; a client cannot be registered before its port is known. */
  configuration: Configuration | undefined;
  readonly #server: Server;
  #verifier = "";
  #idToken = "";

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.origin = `http://127.0.0.1:${port}`;
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async open(): Promise<RelyingParty> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("No port");
    return new RelyingParty(server, address.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { location, text = "" } = await this.#answer(new URL(request.url ?? "", this.origin));
      response.writeHead(location === undefined ? 200 : 303, {
        "content-type": "text/html; charset=utf-8",
        ...(location !== undefined && { location }),
      });
      response.end(`<!doctype html><title>Application</title><p>${text}</p>`);
    } catch (error) {
      response.writeHead(500, { "content-type": "text/plain" }).end(String(error));
    }
  }

  async #answer(url: URL): Promise<{ readonly location?: string; readonly text?: string }> {
    const config = this.configuration;
    if (config === undefined) throw new Error("Not configured");
    const { pathname, searchParams } = url;
    if (pathname === "/favicon.ico") return {};
    if (pathname === "/bye") return { text: "Signed out" };
    if (pathname === "/out") return { location: this.#signOut(config) };
    if (pathname === "/") return { location: await this.#begin(config) };
    if (searchParams.has("error")) return { text: `Refused: ${searchParams.get("error")}` };
    const tokens = await authorizationCodeGrant(config, url, { pkceCodeVerifier: this.#verifier });
    this.#idToken = tokens.id_token ?? "";
    return { text: `Signed in as ${tokens.claims()?.sub} with a ${tokens.token_type} token` };
  }

  async #begin(config: Configuration): Promise<string> {
    this.#verifier = randomPKCECodeVerifier();
    return buildAuthorizationUrl(config, {
      redirect_uri: `${this.origin}/callback`,
      scope: "openid profile orders.read",
      code_challenge: await calculatePKCECodeChallenge(this.#verifier),
      code_challenge_method: "S256",
    }).href;
  }

  #signOut(config: Configuration): string {
    return buildEndSessionUrl(config, {
      id_token_hint: this.#idToken,
      post_logout_redirect_uri: `${this.origin}/bye`,
    }).href;
  }
}
