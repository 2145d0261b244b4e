import type { KeyView } from "../keys/key-list.ts";
import { SERVICES } from "../layout.ts";
import type { PageFacts } from "../page/facts.ts";
import type { Found } from "../status.ts";

export const NOW = 1_795_900_000;
const DAY = 86_400;

/** What the page shows of a system that is well. */
export function factsOf(
  change: Partial<Found> = {},
  more: Partial<Omit<PageFacts, "system">> = {},
): PageFacts {
  return {
    now: NOW,
    upSince: NOW - 12 * DAY,
    host: "login.example.org",
    folder: "/srv/redoubt",
    system: { ...WELL, ...change },
    rates: [
      { realm: "consumer", perMinute: 1284 },
      { realm: "enterprise", perMinute: 16 },
    ],
    coverage: { issued: 1000, seen: 914 },
    ledgerBytes: 6_200_000_000,
    ...more,
  };
}

export function keyOf(change: Partial<KeyView> = {}): KeyView {
  return {
    realm: "enterprise",
    kid: "kLkO_5A4qOE7VBwEoKj3s1Yx0aCk0Yh0Jq5m8dQ0zXo",
    alg: "ES256",
    class: "at",
    state: "active",
    since: NOW - 5 * DAY,
    age: null,
    custody: "pkcs11",
    tenants: { bucket: 0, of: 1, except: [] },
    activeTenants: 212,
    signUntil: NOW + 8 * DAY,
    verifyUntil: NOW + 9 * DAY,
    next: { state: "verify-only", at: NOW + 2 * DAY + 4 * 3600 },
    retained: null,
    signer: "active",
    held: true,
    alarms: [],
    ...change,
  };
}

const WELL: Found = {
  healthy: true,
  processes: SERVICES.map((service, i) => ({
    service,
    ready: true,
    pid: 100 + i,
    restarts: 0,
    startedAt: NOW - 12 * DAY,
    labels: [],
    unreadable: false,
    reason: null,
    refusedKeys: [],
  })),
  logs: [
    {
      log: "redoubt.local/registry",
      size: 1204,
      cosigned: { size: 1204, timeSeconds: NOW - 2 },
      monitored: 1204,
    },
  ],
  alarms: { open: 0, critical: 0, newest: [] },
  openAlarms: [],
  disk: { freeBytes: 79e9, level: "enough" },
  labels: ["isolation: none", "roots: demo", "hardware: none"],
  problems: [],
  keys: [
    keyOf(),
    keyOf({
      kid: "iV3JwfOrQu4d_ePxJkPnvx1Q95R6FejozZ9T67FaJcg",
      state: "prepublished",
      next: { state: "active", at: NOW + 2 * DAY + 4 * 3600 },
    }),
  ],
};
