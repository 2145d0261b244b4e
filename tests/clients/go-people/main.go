// A relying party on golang.org/x/oauth2 and go-oidc: prints where the person is to go, reads where she came back to,
// and prints what it then knows of her.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type person struct {
	Subject   string `json:"sub"`
	Name      string `json:"name"`
	ACR       string `json:"acr"`
	Rotated   bool   `json:"rotated"`
	Refreshed string `json:"refreshed"`
	SignOut   string `json:"signOut"`
}

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	check(err)
	config := oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		Endpoint:     provider.Endpoint(),
		RedirectURL:  os.Getenv("REDIRECT_URI"),
		Scopes:       []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess},
	}
	verifier, state, nonce := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	fmt.Println(config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent")))

	answer := callback()
	if answer.Get("state") != state {
		log.Fatal("state differs")
	}
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	check(err)
	idTokens := provider.Verifier(&oidc.Config{ClientID: config.ClientID})
	id, raw := verify(ctx, idTokens, token)
	if id.Nonce != nonce {
		log.Fatal("nonce differs")
	}
	var claims struct {
		ACR string `json:"acr"`
	}
	check(id.Claims(&claims))

	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	check(err)
	if info.Subject != id.Subject {
		log.Fatal("userinfo is of somebody else")
	}
	var profile struct {
		Name string `json:"name"`
	}
	check(info.Claims(&profile))

	// A token source that has no token that is still good refreshes at once.
	next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	check(err)
	again, _ := verify(ctx, idTokens, next)
	check(json.NewEncoder(os.Stdout).Encode(person{
		Subject:   id.Subject,
		Name:      profile.Name,
		ACR:       claims.ACR,
		Rotated:   next.RefreshToken != "" && next.RefreshToken != token.RefreshToken,
		Refreshed: again.Subject,
		SignOut:   signOut(provider, raw),
	}))
}

func callback() url.Values {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	address, err := url.Parse(strings.TrimSpace(line))
	check(err)
	return address.Query()
}

func verify(ctx context.Context, verifier *oidc.IDTokenVerifier, token *oauth2.Token) (*oidc.IDToken, string) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		log.Fatal("no ID token")
	}
	id, err := verifier.Verify(ctx, raw)
	check(err)
	return id, raw
}

func signOut(provider *oidc.Provider, idToken string) string {
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	check(provider.Claims(&metadata))
	return metadata.EndSession + "?" + url.Values{
		"id_token_hint":            {idToken},
		"post_logout_redirect_uri": {os.Getenv("LOGOUT_URI")},
	}.Encode()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
