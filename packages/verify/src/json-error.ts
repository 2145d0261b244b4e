/** Why a JSON document was refused; stable. */
export type JsonErrorCode =
  | "ERR_JSON_DEPTH"
  | "ERR_JSON_DUPLICATE_MEMBER"
  | "ERR_JSON_ESCAPED_NAME"
  | "ERR_JSON_NOT_OBJECT"
  | "ERR_JSON_NUMBER"
  | "ERR_JSON_PROTO"
  | "ERR_JSON_SIZE"
  | "ERR_JSON_SURROGATE"
  | "ERR_JSON_SYNTAX"
  | "ERR_JSON_UTF8";

/** A JSON document that must not be read. The message holds no part of the document. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  readonly code: JsonErrorCode;

  constructor(code: JsonErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
