import type { Cryptoki } from "../pkcs11/cryptoki.ts";
import { Pkcs11Module } from "../pkcs11/module.ts";
import { loadRaw } from "./raw-token.ts";
import { SOFTHSM_MODULE } from "./softhsm.ts";

type CallName = Extract<keyof Cryptoki, string>;

/** A module between: counts calls, and answers some in its own way. */
export interface FaultyCryptoki {
  readonly cryptoki: Cryptoki;
  readonly calls: Map<string, number>;
  /** Answers in place of the module, or calls `real`. */
  readonly answers: Map<CallName, (real: () => unknown) => unknown>;
  /** How often a call was made. */
  count(name: CallName): number;
  /** Fails the next `times` calls with this CK_RV. */
  fail(name: CallName, returnValue: string, times?: number): void;
}

export function withFaults(real: Cryptoki): FaultyCryptoki {
  const calls = new Map<string, number>();
  const answers: FaultyCryptoki["answers"] = new Map();
  const answerOf = (name: string | symbol) =>
    [...answers].find(([answered]) => answered === name)?.[1];
  const cryptoki = new Proxy(real, {
    get(target, name): unknown {
      const call: unknown = Reflect.get(target, name);
      if (typeof call !== "function") return call;
      return (...args: unknown[]): unknown => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1);
        const inner = (): unknown => Reflect.apply(call, target, args);
        const answer = answerOf(name);
        return answer ? answer(inner) : inner();
      };
    },
  });
  return {
    cryptoki,
    calls,
    answers,
    count: (name) => calls.get(name) ?? 0,
    fail(name, returnValue, times = 1) {
      let left = times;
      answers.set(name, (inner) => {
        if (left <= 0) return inner();
        left -= 1;
        throw new Error(`${returnValue}:0`);
      });
    },
  };
}

/** SoftHSM's module with faults in between; the process has one of it, whoever loads it. */
export async function faultyModule(): Promise<FaultyCryptoki & { readonly module: Pkcs11Module }> {
  const faulty = withFaults(await loadRaw());
  return { ...faulty, module: new Pkcs11Module(SOFTHSM_MODULE, faulty.cryptoki) };
}
