import { errorCode } from "@redoubt/base";
import { HttpError, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import { ISSUER, type Route } from "@redoubt/wire";
import { OAuthError } from "../errors.ts";
import type { LoginPaths } from "./login-place.ts";
import type { People } from "./open-people.ts";
import { pageAnswer } from "./page-answer.ts";
import { pages } from "./pages/index.ts";
import { NOT_NOW } from "./pages/messages.ts";
import { ROUTES } from "./routes.ts";

export interface PeopleDoorOptions {
  readonly paths: LoginPaths;
  /** Loads the code and opens the store. What it owns is given up by the stack. */
  readonly open: (stack: AsyncDisposableStack) => Promise<People>;
  /** Whether somebody waits to be told something: then nobody has to come first. */
  readonly hasMessages: () => boolean;
  readonly failed: (code: string) => void;
}

type Form = ReadonlyMap<string, string>;

/** Operations of the operator's socket that are not about people. */
const OTHERS: readonly string[] = [ISSUER.credentials.op, ISSUER.backup.op, ISSUER.status.op];
/** After a start others have more to do. */
const OPEN_AFTER_MS = 3000;

/**
 * What people need is opened when the first of them comes. Until then an issuer of services' tokens is as small as it
 * was; and a store of people that cannot be opened takes no service its tokens.
 */
export class PeopleDoor implements AsyncDisposable {
  /** Of the operator's socket. */
  readonly routes: readonly Route[];
  readonly #options: PeopleDoorOptions;
  readonly #stack = new AsyncDisposableStack();
  readonly #timer: NodeJS.Timeout;
  #opening: Promise<People> | undefined;

  constructor(options: PeopleDoorOptions) {
    this.#options = options;
    this.routes = Object.values(ISSUER)
      .map(({ op }) => op)
      .filter((op) => !OTHERS.includes(op))
      .map((op) => ({
        op,
        handle: async (call) => {
          const { routes } = await this.#people();
          const found = routes.find((one) => one.op === op);
          if (!found) throw new RangeError(`No route for ${op}`);
          return found.handle(call);
        },
      }));
    this.#timer = setTimeout(() => {
      if (options.hasMessages()) void this.#people().catch(() => undefined);
    }, OPEN_AFTER_MS).unref();
  }

  /** Tokens for a code or a refresh token. @throws OAuthError */
  async token(request: HttpRequest, tenant: string, form: Form): Promise<HttpAnswer> {
    return (await this.#peopleOfClient()).login.token(request, tenant, form);
  }

  /** Whether a request is for the people; the token endpoint is asked first, whoever asks. */
  takes(request: HttpRequest): boolean {
    const place = this.#options.paths.find(request);
    return place !== undefined && place.path !== ROUTES.token;
  }

  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const { paths } = this.#options;
    try {
      const answer = await (await this.#people()).login.answer(request);
      if (answer) return answer;
    } catch (error) {
      if (this.#opening) throw error;
      const { mount = "" } = paths.find(request) ?? {};
      return pageAnswer(pages.failed({ mount, text: NOT_NOW }), { status: 503 });
    }
    throw new HttpError("ERR_HTTP_NOT_FOUND", "Nothing is here");
  }

  async #peopleOfClient(): Promise<People> {
    try {
      return await this.#people();
    } catch (cause) {
      throw new OAuthError("ERR_ISSUER_PEOPLE", "temporarily_unavailable", "Try again later", {
        retryAfterSeconds: 5,
        cause,
      });
    }
  }

  /** What failed is tried again with the next who comes. */
  #people(): Promise<People> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<People> {
    try {
      return await this.#options.open(this.#stack);
    } catch (error) {
      this.#opening = undefined;
      this.#options.failed(errorCode(error));
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#opening?.catch(() => undefined);
    await this.#stack.disposeAsync();
  }
}
