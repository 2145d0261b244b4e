import { readFileSync } from "node:fs";
import { MemberReader, ServiceError } from "@redoubt/base";
import {
  HttpError,
  LOOK,
  readJson,
  singleHeader,
  type HttpAnswer,
  type HttpRequest,
} from "@redoubt/http";
import { PresenceError, readAssertion } from "@redoubt/presence";
import { Base64urlError } from "@redoubt/verify/base64url";
import type { Ceremonies } from "./ceremonies.ts";
import type { Ceremony, CeremonyState } from "./ceremony.ts";
import { plainPage, statementPage } from "./page.ts";
import { fileAnswer, pageAnswer, scriptAnswer } from "./page-answer.ts";

const FILES = {
  ...LOOK,
  "/approve.css": {
    type: "text/css; charset=utf-8",
    file: new URL("./approve.css", import.meta.url),
  },
  "/approve.js": {
    type: "text/javascript; charset=utf-8",
    file: new URL("./approve.js", import.meta.url),
  },
} as const;

const PAGE = /^\/(?<id>[\w-]{22})(?:\/(?<act>assertion|decline))?$/;

const ENDED: Readonly<Record<Exclude<CeremonyState, "open">, readonly [string, string]>> = {
  collected: ["Approved", "This was approved. You can close this page."],
  declined: ["Declined", "Somebody declined this: it will not be done. You can close this page."],
  expired: [
    "Too late",
    "Nobody approved this in time, or it was approved and is over. Whoever asked must ask again.",
  ],
};
const UNKNOWN = [
  "Nothing to approve here",
  "This address leads to nothing, or to something that is over. Whoever asked can ask again, and gives you another address.",
] as const;

/** What a person reads where an assertion is not taken, by the part that is wrong. */
const REFUSALS: Readonly<Record<string, string>> = {
  again: "This passkey has approved already. Another person must approve, too.",
  credential: "This passkey may not approve this. Use one that was enrolled for approvals.",
  challenge: "The passkey approved something else. Reload this page and read it again.",
  origin: "The passkey was used at another address. Use the address that you were given.",
  userVerified: "Your device did not check that it is you. Use its PIN, fingerprint or face.",
};
const REFUSED = "The passkey's answer is not one that counts. Try again, or use another passkey.";

/** The ceremony page over HTTP. Everything of a request is chosen by a stranger. */
export class Web {
  readonly #ceremonies: Ceremonies;
  readonly #origin: string;
  readonly #files: ReadonlyMap<string, HttpAnswer>;

  constructor(ceremonies: Ceremonies, { origin }: { readonly origin: string }) {
    this.#ceremonies = ceremonies;
    this.#origin = origin;
    this.#files = new Map(
      Object.entries(FILES).map(([path, { type, file }]) => [
        path,
        fileAnswer(type, readFileSync(file, "utf8")),
      ]),
    );
  }

  handle(request: HttpRequest): HttpAnswer {
    const { method, path } = request;
    const { id = "", act } = PAGE.exec(path)?.groups ?? {};
    if (act !== undefined) return this.#act(request, act, this.#ceremonies.find(id));
    if (method !== "GET" && method !== "HEAD")
      throw new HttpError("ERR_HTTP_METHOD", "Use GET", { headers: ["allow", "GET, HEAD"] });
    return this.#files.get(path) ?? this.#page(this.#ceremonies.find(id));
  }

  #page(ceremony: Ceremony | undefined): HttpAnswer {
    if (!ceremony) return pageAnswer(404, plainPage(...UNKNOWN));
    const { now } = this.#ceremonies;
    const state = ceremony.stateAt(now);
    return state === "open"
      ? pageAnswer(200, statementPage(ceremony, now))
      : pageAnswer(state === "expired" ? 410 : 200, plainPage(...ENDED[state]));
  }

  #act(request: HttpRequest, act: string, ceremony: Ceremony | undefined): HttpAnswer {
    if (request.method !== "POST")
      throw new HttpError("ERR_HTTP_METHOD", "Use POST", { headers: ["allow", "POST"] });
    // THREAT-20: no other page answers in this one's name, not even to decline. Browsers send it with every POST.
    if (singleHeader(request, "origin") !== this.#origin)
      throw new HttpError("ERR_HTTP_ORIGIN", "Only the ceremony page itself may ask for this");
    const body = new MemberReader(readJson(request, { maxDepth: 2 }), "assertion");
    if (!ceremony) return scriptAnswer(404, { message: UNKNOWN[1], isOver: true });
    const state = ceremony.stateAt(this.#ceremonies.now);
    if (state !== "open") return scriptAnswer(409, { message: ENDED[state][1], isOver: true });
    return act === "decline" ? this.#decline(ceremony, body) : this.#approve(ceremony, body);
  }

  #decline(ceremony: Ceremony, body: MemberReader): HttpAnswer {
    const problem = attempt(() => body.done());
    if (problem) return problem;
    this.#ceremonies.decline(ceremony);
    return scriptAnswer(200, { message: "Declined: it will not be done.", isOver: true });
  }

  #approve(ceremony: Ceremony, body: MemberReader): HttpAnswer {
    const problem = attempt(() => this.#ceremonies.add(ceremony, readAssertion(body)));
    if (problem) return problem;
    const { approvers, assertions } = ceremony;
    const isWhole = assertions.length === approvers;
    return scriptAnswer(200, {
      message: isWhole
        ? "Approved. Whoever asked checks it now. You can close this page."
        : `Approved by ${assertions.length} of ${approvers}. Another person must approve, too, on this page or at its address.`,
      isOver: isWhole,
    });
  }
}

/** What the page says of a refusal; undefined where there is none. */
function attempt(work: () => void): HttpAnswer | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    const isRefusal =
      error instanceof PresenceError ||
      error instanceof ServiceError ||
      error instanceof Base64urlError;
    if (!isRefusal) throw error;
    const part = error instanceof PresenceError ? (error.part ?? "") : "";
    return scriptAnswer(400, { message: REFUSALS[part] ?? REFUSED, isOver: false });
  }
}
