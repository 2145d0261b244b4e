/** RFC 7748 §4.1: the prime of the field of edwards25519; D is the constant d of the curve (RFC 8032 §5.1). */
const P = 2n ** 255n - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const SIGN_BIT = 2n ** 255n;
/** The y of two of the four points of order 8; that of the others is its negative. */
const Y_ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const Y_SMALL_ORDER: readonly bigint[] = [0n, 1n, P - 1n, Y_ORDER_8, P - Y_ORDER_8];

/**
 * Tells whether 32 bytes (RFC 8032 §5.1.5) are a public key that only its holder can sign for: in their one encoding,
 * on the curve, and not of small order. Under a point of small order some engines take signatures that anybody can
 * make (Node 20 and 22 do), and no engine says so when the key is imported.
 */
export function isSoundEd25519(bytes: Uint8Array): boolean {
  const y = BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`) % SIGN_BIT;
  if (y >= P || Y_SMALL_ORDER.includes(y)) return false;
  // RFC 8032 §5.1.3: x² = (y² − 1) / (d·y² + 1). A product is a square exactly if the quotient is.
  const y2 = (y * y) % P;
  const product = ((y2 - 1n + P) * (D * y2 + 1n)) % P;
  return power(product, (P - 1n) / 2n) === 1n;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let [square, left] = [base % P, exponent]; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}

const ROCA_PRIMES = [
  11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
] as const;
const GENERATOR = 65_537;

let subgroups: ReadonlyMap<number, ReadonlySet<number>> | undefined;

/**
 * Tells whether an RSA modulus looks as those of CVE-2017-15361 (ROCA) do: modulo each of these primes it is a power of
 * 65537. By chance fewer than one in 2²⁷ of all other moduli do, too.
 */
export function isRoca(modulus: Uint8Array): boolean {
  subgroups ??= new Map(ROCA_PRIMES.map((prime) => [prime, powersOf(GENERATOR, prime)]));
  const n = BigInt(`0x${Buffer.from(modulus).toString("hex")}`);
  return [...subgroups].every(([prime, powers]) => powers.has(Number(n % BigInt(prime))));
}

function powersOf(base: number, prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let next = 1; !powers.has(next); next = (next * base) % prime) powers.add(next);
  return powers;
}
