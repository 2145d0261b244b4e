export { loadPkcs11, type Pkcs11Module } from "./module.ts";
export { openPkcs11Custodian, type Pkcs11Options } from "./open-custodian.ts";
