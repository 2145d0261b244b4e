import { EvidenceError } from "../evidence-error.ts";
import type { CollateralReader } from "./collateral-reader.ts";
import { wrongCollateral } from "./collateral-reader.ts";
import type { VerifiedCollateral } from "./collateral.ts";
import type { PckPlatform } from "./pck-certificate.ts";
import type { QeReport, TdReport } from "./quote.ts";
import { joinVerdicts, parseVerdict, type TcbVerdict } from "./tcb-status.ts";

const MAX_LEVELS = 200;
const MAX_MODULES = 50;
const COMPONENTS = 16;

/** Intel's verdicts on a platform: the whole of it, and of each part. */
export interface TdxTcb {
  readonly status: TcbVerdict["status"];
  readonly date: number;
  readonly advisoryIds: readonly string[];
  readonly platform: TcbVerdict;
  readonly module: TcbVerdict | undefined;
  readonly quotingEnclave: TcbVerdict;
  readonly evaluation: number;
}

/**
 * Holds a platform to verified collateral (Intel, TDX DCAP: Appraisal of TD quotes): the level of its firmware, of the TDX
 * module, and of the quoting enclave.
 *
 * @throws EvidenceError `ERR_EVIDENCE_COLLATERAL` for collateral of another platform or a level that it does not know,
 *   `ERR_EVIDENCE_BINDING` for a module or enclave that is not Intel's, `ERR_EVIDENCE_REVOKED`
 */
export function appraiseTdxTcb(
  {
    body,
    qeReport,
    pck,
  }: { readonly body: TdReport; readonly qeReport: QeReport; readonly pck: PckPlatform },
  { tcbInfo, qeIdentity }: VerifiedCollateral,
): TdxTcb {
  expect(tcbInfo, "id", "TDX");
  expect(tcbInfo, "version", 3);
  // How components are composed and compared; 0 is the only way that is known.
  expect(tcbInfo, "tcbType", 0);
  // THREAT-14: signed collateral of another kind of platform says nothing about this one.
  if (
    tcbInfo.text("fmspc").toLowerCase() !== pck.fmspc ||
    tcbInfo.text("pceId").toLowerCase() !== pck.pceId
  )
    throw wrongCollateral("tcbInfo.fmspc", "is of another platform");
  const platform = platformLevel(tcbInfo, body, pck);
  const module = moduleLevel(tcbInfo, body);
  const quotingEnclave = enclaveLevel(qeIdentity, qeReport);
  const evaluation = Math.min(
    tcbInfo.number("tcbEvaluationDataNumber"),
    qeIdentity.number("tcbEvaluationDataNumber"),
  );
  const joined = joinVerdicts(
    platform,
    module === undefined ? [quotingEnclave] : [module, quotingEnclave],
  );
  return { ...joined, platform, module, quotingEnclave, evaluation };
}

/** The first level, the best first, that all components of the platform reach. */
function platformLevel(
  tcbInfo: CollateralReader,
  { teeTcbSvn }: TdReport,
  { components, pceSvn }: PckPlatform,
): TcbVerdict {
  // From version 1 of the module on, the first two numbers are the module's own and are judged apart.
  const first = moduleVersion(teeTcbSvn) > 0 ? 2 : 0;
  const level = tcbInfo.objects("tcbLevels", MAX_LEVELS).find((candidate) => {
    const tcb = candidate.object("tcb");
    return (
      reaches(components, svns(tcb, "sgxtcbcomponents"), 0) &&
      pceSvn >= tcb.number("pcesvn") &&
      reaches([...teeTcbSvn], svns(tcb, "tdxtcbcomponents"), first)
    );
  });
  return verdictOf(level, "tcbInfo.tcbLevels");
}

function svns(tcb: CollateralReader, name: string): readonly number[] {
  const found = tcb.objects(name, COMPONENTS).map((component) => component.number("svn"));
  if (found.length !== COMPONENTS)
    throw wrongCollateral(`${tcb.part}.${name}`, `not ${COMPONENTS} components`);
  return found;
}

function reaches(found: readonly number[], needed: readonly number[], first: number): boolean {
  return needed.every((svn, i) => i < first || (found[i] ?? 0) >= svn);
}

function moduleVersion(teeTcbSvn: Buffer): number {
  return teeTcbSvn.readUInt8(1);
}

function moduleLevel(tcbInfo: CollateralReader, body: TdReport): TcbVerdict | undefined {
  const version = moduleVersion(body.teeTcbSvn);
  if (version === 0) {
    checkModule(tcbInfo.object("tdxModule"), body);
    return undefined;
  }
  const id = `TDX_${version.toString(16).padStart(2, "0").toUpperCase()}`;
  const identity = tcbInfo
    .objects("tdxModuleIdentities", MAX_MODULES)
    .find((one) => one.text("id").toUpperCase() === id);
  if (identity === undefined) throw wrongCollateral("tcbInfo.tdxModuleIdentities", `has no ${id}`);
  checkModule(identity, body);
  return isvLevel(identity, body.teeTcbSvn.readUInt8(0));
}

function checkModule(identity: CollateralReader, { mrSignerSeam, seamAttributes }: TdReport): void {
  if (!mrSignerSeam.equals(identity.hex("mrsigner", 48)))
    throw foreign("mrsignerseam", identity.part);
  checkMasked(seamAttributes, identity, "attributes", "attributesMask");
}

function enclaveLevel(identity: CollateralReader, report: QeReport): TcbVerdict {
  expect(identity, "id", "TD_QE");
  expect(identity, "version", 2);
  checkMasked(report.miscSelect, identity, "miscselect", "miscselectMask");
  checkMasked(report.attributes, identity, "attributes", "attributesMask");
  if (!report.mrSigner.equals(identity.hex("mrsigner", 32)))
    throw foreign("mrsigner", identity.part);
  if (report.isvProdId !== identity.number("isvprodid")) throw foreign("isvprodid", identity.part);
  return isvLevel(identity, report.isvSvn);
}

function isvLevel(identity: CollateralReader, svn: number): TcbVerdict {
  const level = identity
    .objects("tcbLevels", MAX_LEVELS)
    .find((one) => svn >= one.object("tcb").number("isvsvn"));
  return verdictOf(level, `${identity.part}.tcbLevels`);
}

function verdictOf(level: CollateralReader | undefined, part: string): TcbVerdict {
  if (level === undefined) throw wrongCollateral(part, "no level is as low as what runs");
  return parseVerdict(level);
}

function checkMasked(found: Buffer, identity: CollateralReader, value: string, mask: string): void {
  const expected = identity.hex(value, found.length);
  const bits = identity.hex(mask, found.length);
  if (found.some((byte, i) => (byte & (bits[i] ?? 0)) !== expected[i]))
    throw foreign(value, identity.part);
}

function expect(document: CollateralReader, name: string, expected: string | number): void {
  const found = typeof expected === "string" ? document.text(name) : document.number(name);
  if (found !== expected) throw wrongCollateral(`${document.part}.${name}`, `expected ${expected}`);
}

function foreign(field: string, part: string): EvidenceError {
  return new EvidenceError(
    "ERR_EVIDENCE_BINDING",
    `TDX: ${field} is not what Intel's identity says`,
    { part: `${part}.${field}` },
  );
}
