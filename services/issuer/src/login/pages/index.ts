import { Html } from "@redoubt/http";
import { passkeysPage, passPage, registeredPage, registerPage } from "./account-pages.ts";
import {
  consentPage,
  failedPage,
  signedOutPage,
  signInPage,
  signOutPage,
} from "./sign-in-pages.ts";

/** Every page of sign-in. Values come from anybody; markup is ours. */
export const pages = {
  signIn: signInPage,
  consent: consentPage,
  pass: passPage,
  register: registerPage,
  registered: registeredPage,
  passkeys: passkeysPage,
  signOut: (view: { readonly mount: string; readonly form: string }): string =>
    signOutPage({ mount: view.mount, form: new Html(view.form) }),
  signedOut: signedOutPage,
  failed: failedPage,
} as const;
