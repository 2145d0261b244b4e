/**
 * An appraisal policy: what a machine must prove. The grammar is that of Azure's Secure Key Release policies 1.0.0, whose
 * documents load unchanged; version 1.1.0 adds `not`, `in`, `noneOf`, `reference` and `until`.
 */
export interface Policy {
  readonly version: "1.0.0" | "1.1.0";
  /** One of them must accept. */
  readonly anyOf: readonly PolicyAuthority[];
}

/** Who states the claims, and what they must be. Evidence that is verified here is stated by `EVIDENCE_AUTHORITY`. */
export interface PolicyAuthority {
  readonly authority: string;
  readonly condition: PolicyCondition;
}

export type PolicyCondition =
  | { readonly kind: "anyOf" | "allOf"; readonly conditions: readonly PolicyCondition[] }
  | { readonly kind: "not"; readonly condition: PolicyCondition }
  | PolicyLeaf;

export type PolicyScalar = string | number | boolean;

/** The set of a reference is looked up when the policy is loaded, so a missing one never passes later. */
export type PolicyTest =
  | { readonly operator: "equals" | "notEquals"; readonly value: PolicyScalar }
  | { readonly operator: NumberOperator; readonly value: number }
  | { readonly operator: "exists"; readonly value: boolean }
  | { readonly operator: "in" | "noneOf"; readonly values: readonly PolicyScalar[] }
  | {
      readonly operator: "reference";
      readonly name: string;
      readonly values: readonly PolicyScalar[];
    };

export type NumberOperator = "less" | "lessOrEquals" | "greater" | "greaterOrEquals";

export type PolicyLeaf = PolicyTest & {
  readonly kind: "claim";
  /** Path of a claim: `snp.tcb.microcode`. */
  readonly claim: string;
  /** Milliseconds since 1970, or infinity: from then on the leaf is false. What is allowed for a while only has an end. */
  readonly until: number;
};

/** Authority of claims that this package verified itself. */
export const EVIDENCE_AUTHORITY = "urn:redoubt:evidence";

/** Sets of accepted values by name. */
export type ReferenceSets = ReadonlyMap<string, readonly PolicyScalar[]>;
