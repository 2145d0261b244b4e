import { nowSeconds, type Clock, type Sample } from "@redoubt/base";
import { isDrill } from "@redoubt/keys";
import type { Registry } from "@redoubt/registry";
import { samplesOf, type SignerMetadata } from "@redoubt/wire";
import type { SignerConfig } from "../config.ts";
import type { SignerCore } from "./signer-core.ts";

export interface SignerFacts {
  readonly config: SignerConfig;
  readonly instance: string;
  readonly custody: string;
  readonly isReady: boolean;
  readonly core: SignerCore | undefined;
  readonly registrySize: number;
  readonly issuerStatements: number;
  readonly leaseLabels: readonly string[];
  /** Why nothing is issued now: a code. */
  readonly whyNot: string | undefined;
}

/** docs/spec/wire.md §3 `metadata`. */
export function describeSigner(facts: SignerFacts): SignerMetadata {
  const { config, instance, custody, isReady, core, registrySize, issuerStatements, whyNot } =
    facts;
  const cosigned = core?.guard.newest;
  return {
    realm: config.realm,
    instance,
    log: config.origin,
    maxTtlSeconds:
      core?.cluster?.maxLifetimeSeconds() ??
      Math.max(...config.rings.map((ring) => ring.maxLifetimeSeconds)),
    custody,
    isolation: "none",
    ready: isReady,
    problem: whyNot ?? null,
    size: core?.writer.size ?? 0,
    registrySize,
    issuerStatements,
    pending: core?.writer.pending ?? 0,
    cosigned: cosigned ? { size: cosigned.size, timeSeconds: cosigned.timeSeconds } : null,
    labels: [
      ...config.labels,
      ...facts.leaseLabels,
      ...config.rings.flatMap((ring) => ring.labels),
    ],
  };
}

export function listKeys(registry: Registry, realm: string): object[] {
  return [...registry.keys.values()]
    .filter((key) => key.realm === realm && !isDrill(key.record))
    .map(({ kid, state, stateAt, retainedBy, record }) => {
      const retained = retainedBy ?? null;
      return { kid, state, stateAt, retained, alg: record.alg };
    });
}

export function signerMetrics(
  { registrySize, pending, cosigned }: SignerMetadata,
  clock: Clock,
): Sample[] {
  return samplesOf({
    redoubt_registry_entries_read: registrySize,
    redoubt_signer_entries_pending: pending,
    redoubt_signer_cosignature_age_seconds:
      cosigned === null ? undefined : Math.max(0, nowSeconds(clock) - cosigned.timeSeconds),
  });
}
