export {
  EvidenceError,
  type EvidenceErrorCode,
  type EvidenceErrorDetail,
} from "./evidence-error.ts";
