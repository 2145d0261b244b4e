// Our own declaration, because the package is optional and native: without a compiler it is absent, types and all.
// Only the default import works: named constants type-check, where its own types are there, and are undefined.
declare module "pkcs11js" {
  const pkcs11js: { readonly PKCS11: new () => { load(path: string): void } };
  export { pkcs11js as default };
}
