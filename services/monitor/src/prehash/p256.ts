// SEC 2 §2.4.2, FIPS 186-5: the curve y² = x³ − 3x + b over GF(p), its base point and the order n.
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const A = P - 3n;
const B3 = (3n * B) % P;
const BASE: Point = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
  z: 1n,
};
const SCALAR_BITS = 256n;
const SCALAR_BYTES = 32;

/** Homogeneous projective: (x/z, y/z); z = 0 is the point at infinity. */
interface Point {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
}

const INFINITY: Point = { x: 0n, y: 1n, z: 0n };

/**
 * Verifies an ECDSA signature (r ‖ s, RFC 7518 §3.4) over a SHA-256 digest, which node:crypto cannot do: it hashes
 * its input itself. Public data only, so nothing here needs to take constant time.
 *
 * @returns false for anything that is no valid signature; `x` and `y` must be a point of the curve
 */
export function isP256Signature(
  key: { readonly x: Buffer; readonly y: Buffer },
  digest: Buffer,
  signature: Buffer,
): boolean {
  if (signature.length !== 2 * SCALAR_BYTES || digest.length !== SCALAR_BYTES) return false;
  const point: Point = { x: integerOf(key.x), y: integerOf(key.y), z: 1n };
  if (!isOnCurve(point)) return false;
  const r = integerOf(signature.subarray(0, SCALAR_BYTES));
  const s = integerOf(signature.subarray(SCALAR_BYTES));
  // FIPS 186-5 §6.4.2 step 1, THREAT-08: r = s = 0 would verify for every message ("psychic signatures").
  if (r === 0n || r >= N || s === 0n || s >= N) return false;
  const inverse = invert(s, N);
  const u1 = (integerOf(digest) * inverse) % N;
  const u2 = (r * inverse) % N;
  const sum = addMultiples(u1, u2, point);
  // FIPS 186-5 §6.4.2 step 5: the point at infinity has no x.
  if (sum.z === 0n) return false;
  return ((sum.x * invert(sum.z, P)) % P) % N === r;
}

/** u1·G + u2·Q, bit by bit from the top. */
function addMultiples(u1: bigint, u2: bigint, point: Point): Point {
  const both = add(BASE, point);
  let sum = INFINITY;
  for (let bit = SCALAR_BITS - 1n; bit >= 0n; bit--) {
    sum = add(sum, sum);
    const takesBase = ((u1 >> bit) & 1n) === 1n;
    const takesPoint = ((u2 >> bit) & 1n) === 1n;
    if (takesBase && takesPoint) sum = add(sum, both);
    else if (takesBase) sum = add(sum, BASE);
    else if (takesPoint) sum = add(sum, point);
  }
  return sum;
}

/**
 * Complete addition (Renes, Costello, Batina 2015, §3): right for equal points, opposite points and infinity too,
 * so that there is no special case to get wrong. The curve has prime order, as the formula demands.
 */
function add(p: Point, q: Point): Point {
  const xx = (p.x * q.x) % P;
  const yy = (p.y * q.y) % P;
  const zz = (p.z * q.z) % P;
  const xy = (p.x * q.y + q.x * p.y) % P;
  const xz = (p.x * q.z + q.x * p.z) % P;
  const yz = (p.y * q.z + q.y * p.z) % P;
  const low = (A * xz + B3 * zz) % P;
  const minus = yy - low + P;
  const plus = yy + low;
  const slope = (3n * xx + A * zz) % P;
  const rest = (A * xx + B3 * xz - ((A * A) % P) * zz) % P;
  return {
    x: modulo(xy * minus - yz * rest, P),
    y: modulo(plus * minus + slope * rest, P),
    z: modulo(yz * plus + xy * slope, P),
  };
}

function isOnCurve({ x, y }: Point): boolean {
  return x < P && y < P && (y * y) % P === (x * x * x + A * x + B) % P;
}

/** Inverse of a number that is not 0, modulo a prime (extended Euclid). */
function invert(value: bigint, prime: bigint): bigint {
  let [r0, r1] = [prime, value % prime];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return modulo(t0, prime);
}

function modulo(value: bigint, prime: bigint): bigint {
  const rest = value % prime;
  return rest < 0n ? rest + prime : rest;
}

function integerOf(bytes: Buffer): bigint {
  return BigInt(`0x0${bytes.toString("hex")}`);
}
