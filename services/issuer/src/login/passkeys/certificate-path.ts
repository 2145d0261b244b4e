import { verifyChain, type Certificate } from "@redoubt/evidence";

/**
 * Whether certificates, the leaf first, lead to one of `roots` at `now` (milliseconds since 1970). A root among them
 * counts only where it is one of ours, byte for byte: what an attacker sends along proves nothing. Nothing is fetched.
 */
export function leadsToRoot(
  certificates: readonly Certificate[],
  roots: readonly Certificate[],
  now: number,
): boolean {
  const pinned = new Set(roots.map(({ fingerprint }) => fingerprint));
  const last = certificates.at(-1);
  const isWhole = last !== undefined && pinned.has(last.fingerprint);
  const chains = isWhole ? [certificates] : roots.map((root) => [...certificates, root]);
  return chains.some((chain) => isVerified(chain, pinned, now));
}

function isVerified(
  chain: readonly Certificate[],
  roots: ReadonlySet<string>,
  now: number,
): boolean {
  try {
    verifyChain(chain, { roots, now, what: "certificate path" });
    return true;
  } catch {
    return false;
  }
}
