// One resource server: keys from discovery, and tells the process that forked it what it takes and from when on.
import { setTimeout as pause } from "node:timers/promises";
import { MemberReader } from "@redoubt/base";
import { createVerifier, fromDiscovery, TokenError, type Verifier } from "@redoubt/verify";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";

const LOOK_MS = 50;

let verifier: Verifier | undefined;
process.on("message", (text: unknown) => {
  const message = parseJsonObject(typeof text === "string" ? text : "{}");
  void answer(message).catch((error: unknown) => {
    process.send?.({ error: error instanceof Error ? error.message : "not an error" });
  });
});
process.on("disconnect", () => process.exit());

async function answer(message: JsonObject): Promise<void> {
  const reader = new MemberReader(message, "message");
  if (isJsonObject(message["open"])) {
    verifier = await open(reader.object("open"));
    process.send?.({ opened: takes(verifier, reader.string("token", 16_384)) });
    return;
  }
  if (!verifier) throw new Error("no verifier yet");
  const current = verifier;
  const [oldToken, newToken] = [reader.string("old", 16_384), reader.string("new", 16_384)];
  const [refusedAt, acceptedAt] = await Promise.all([
    firstTime(() => !takes(current, oldToken)),
    firstTime(() => takes(current, newToken)),
  ]);
  process.send?.({ refusedAt, acceptedAt });
}

function open(reader: MemberReader): Promise<Verifier> {
  const [issuer, realm] = [reader.string("issuer"), reader.string("realm")];
  return createVerifier({
    trust: fromDiscovery({
      issuers: [{ issuer, realm, ring: reader.string("ring") }],
      refreshSeconds: reader.integer("refreshSeconds", 10, 3600),
      allowLoopbackHttp: true,
    }),
    audience: reader.string("audience"),
    accept: [{ issuer: reader.string("template"), realm, tenants: "any" }],
    issuance: "off",
  });
}

function takes(by: Verifier, token: string): boolean {
  try {
    by.verify(token);
    return true;
  } catch (error) {
    // Anything but a key that it does not know would be another measurement.
    if (error instanceof TokenError && error.code === "ERR_JWKS_NO_MATCHING_KEY") return false;
    throw error;
  }
}

/** Milliseconds since the epoch. */
async function firstTime(isSo: () => boolean): Promise<number> {
  while (!isSo()) await pause(LOOK_MS);
  return Date.now();
}
